"""Tiny model shapes with every quirk of the large ones, for files that are written in a blink."""

from datetime import date

from capacity.models import ModelSpec
from facts.records import Source
from probes import trial

SOURCE = Source(url="https://example.org/tiny", checked=date(2026, 11, 1))


def tiny(architecture: str = "llama", **changes: object) -> ModelSpec:
    """Two layers, 256 wide."""
    shape = trial.SHAPE.model_dump() | {
        "id": f"tiny-{architecture}",
        "name": f"Tiny {architecture}",
        "architecture": architecture,
        "layers": 2,
        "source": SOURCE,
    }
    return ModelSpec.model_validate(shape | changes)


def tiny_mixture(architecture: str = "qwen3moe", **changes: object) -> ModelSpec:
    """Eight experts, two used."""
    return tiny(architecture, experts=8, experts_per_token=2, moe_ffn=256, **changes)


SHAPES = {
    "llama": tiny(),
    "qwen2": tiny("qwen2"),
    "qwen3": tiny("qwen3", tied_embeddings=True),
    "qwen3moe": tiny_mixture(),
    "mixtral": tiny_mixture("llama", id="tiny-mixtral", ffn=256),
    "gemma2": tiny("gemma2", tied_embeddings=True, sliding_window=512, full_attention_layers=1),
    "gemma3": tiny("gemma3", tied_embeddings=True, layers=6, sliding_window=512, full_attention_layers=1),
    "phi3": tiny("phi3"),
    "gpt-oss": tiny_mixture("gpt-oss", sliding_window=128, full_attention_layers=1),
}
