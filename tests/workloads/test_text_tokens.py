"""Tokens from text: the tokenizer itself where it is here, else characters with a range that holds."""

import json
from pathlib import Path
from statistics import median

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.errors import InputError
from workloads.log_formats import LogFormat, TimeUnit
from workloads.text_tokens import (
    EXACT,
    KINDS,
    TextClass,
    class_of,
    common_tokenizer,
    counted_samples,
    ratio_of,
    relative_tokens,
    text_counter,
    tokenizer_names,
    tokenizer_of,
)
from workloads.tokenizers import GgufTokenizer, exact_tokenizer
from workloads.trace_summary import workload_of
from workloads.traces import summarize

TEXTS = {
    TextClass.LATIN: "The quick brown fox jumps over the lazy dog.",
    TextClass.LATIN_ACCENTED: "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.",
    TextClass.CYRILLIC: "Съешь же ещё этих мягких французских булок.",
    TextClass.GREEK: "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    TextClass.ARABIC: "نص حكيم له سر قاطع وذو شأن عظيم",
    TextClass.HEBREW: "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    TextClass.INDIC: "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा",
    TextClass.SOUTHEAST_ASIAN: "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    TextClass.CHINESE_JAPANESE: "いろはにほへと 天地玄黄",
    TextClass.KOREAN: "키스의 고유조건은 입술끼리 만나야 하고",
    TextClass.OTHER: "ქართული ანბანი",
    TextClass.CODE: "for (int i = 0; i < n; i++) { total[i] += values[i] * 2; }",
}
COLUMNS = LogFormat(
    time="at", time_unit=TimeUnit.ELAPSED_S, input_tokens="asked", input_text="prompt", output_text="answer", request_id="id"
)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_is_known_by_its_letters_and_code_by_its_signs(kind):
    assert class_of(TEXTS[kind]) is kind


@given(st.text())
def test_every_text_has_a_class_and_tokens(text):
    assert isinstance(class_of(text), TextClass)
    counted = text_counter().counted(text)
    assert 0 <= counted // KINDS <= 3 * len(text)


def test_the_tokenizer_itself_counts_where_it_is_installed():
    pytest.importorskip("bpe_openai", reason="the extra 'tokens' is not installed")
    count = exact_tokenizer("cl100k_base")
    assert count is not None
    assert count("tiktoken is great!") == 6  # the example of the tokenizer's own makers
    assert count("") == 0
    assert count("word " * 300_000) == pytest.approx(300_000, abs=30)  # longer than the library takes at once
    assert count("half a pair \ud800") > 0
    assert count("<|endoftext|>") > 1  # in a log it is text


def test_without_the_library_or_the_tokenizer_characters_are_counted(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bpe_openai", None)
    assert exact_tokenizer("o200k_base") is None
    assert exact_tokenizer("llama3") is None
    counter = text_counter("o200k_base")
    counted = counter.counted("x" * 1000)
    assert counted % KINDS == TextClass.LATIN
    assert counted // KINDS == round(1000 / ratio_of(TextClass.LATIN, "o200k_base").mid)


def test_the_range_of_a_class_holds_a_text_that_was_left_out():
    """A class's range, made without one text, holds that text in more than eight of ten."""
    held = []
    for kind in TextClass:
        found = [one for one in counted_samples() if one.text_class == kind.name.lower()]
        for left_out in found if len(found) >= 4 else []:
            for tokenizer in tokenizer_names():
                ratios = [one.characters / one.tokens[tokenizer] for one in found if one is not left_out]
                low, high = min(*ratios, median(ratios) * 0.85), max(*ratios, median(ratios) * 1.15)
                held.append(low <= left_out.characters / left_out.tokens[tokenizer] <= high)
    assert len(held) > 300
    assert sum(held) / len(held) > 0.8


def test_every_class_has_a_ratio_and_its_range_is_around_it():
    for kind in TextClass:
        for tokenizer in tokenizer_names():
            ratio = ratio_of(kind, tokenizer)
            assert 0 < ratio.low <= 0.85 * ratio.mid
            assert ratio.high >= 1.15 * ratio.mid


def test_the_samples_are_in_the_class_that_their_letters_say_and_were_counted_by_all():
    names = set(tokenizer_names())
    assert [one.id for one in counted_samples()] == sorted(one.id for one in counted_samples())
    for one in counted_samples():
        assert set(one.tokens) == names
        assert one.text_class.upper() in TextClass.__members__


@pytest.mark.parametrize(
    ("model", "tokenizer"),
    [
        ("openai:gpt-4o-mini", "o200k_base"),
        ("openai:gpt-4.1", "o200k_base"),
        ("openai:gpt-5", "o200k_base"),
        ("openai:o3", "o200k_base"),
        ("openai:gpt-4", "cl100k_base"),
        ("openai:gpt-4-turbo", "cl100k_base"),
        ("openai:gpt-3.5-turbo", "cl100k_base"),
        ("together:meta-llama/Llama-3.3-70B-Instruct-Turbo", "llama3"),
        ("llama-3.1-8b", "llama3"),
        ("qwen2.5-7b", "qwen2"),
        ("deepseek:deepseek-chat", "deepseek"),
        ("deepseek-r1-distill-llama-70b", "llama3"),
        ("mistral-nemo-12b", "mistral_tekken"),
        ("mistral-7b", "mistral_v3"),
        ("deepseek-r1-distill-qwen-7b", "qwen2"),
        ("gpt-j-6b", None),
        ("codellama-34b", None),
        ("llama-4-scout", None),
        ("nemotron-3-super-120b-a12b", None),
        ("qwen3.5-9b", None),
        ("anthropic:claude-sonnet-4-5", None),
        ("google:gemini-2.5-pro", None),
    ],
)
def test_which_tokenizer_a_model_has(model, tokenizer):
    assert tokenizer_of(model) == tokenizer


def test_models_of_one_tokenizer_name_it_and_models_of_two_none():
    assert common_tokenizer(["gpt-4o-2024-08-06", "openai:gpt-4.1-mini"]) == "o200k_base"
    assert common_tokenizer(["gpt-4o", "gpt-4-turbo"]) == common_tokenizer(["gpt-4o", "support"]) == common_tokenizer([]) == ""


def test_an_older_tokenizer_needs_more_tokens_for_german_and_as_many_for_itself():
    german = relative_tokens("cl100k_base", "o200k_base", ["de"])
    (sample,) = (one for one in counted_samples() if one.language == "de")
    assert german.factor == sample.tokens["cl100k_base"] / sample.tokens["o200k_base"] == pytest.approx(1.293, abs=0.001)
    assert (german.low, german.high) == (german.factor * 0.95, german.factor * 1.05)
    itself = relative_tokens("llama3", "llama3", ["de", "en"])
    assert (itself.low, itself.factor, itself.high) == (1.0, 1.0, 1.0)
    code = relative_tokens("mistral_v3", "o200k_base", code=True)
    assert 1.15 < code.low < code.factor < code.high < 1.5


def test_an_unknown_tokenizer_is_one_sentence():
    with pytest.raises(InputError, match=r"no tokenizer 'o200k' is known; did you mean 'o200k_base'\?|no tokenizer 'o200k' is known"):
        text_counter("o200k")


def test_a_log_of_texts_becomes_a_workload_and_says_how_it_was_counted(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = [
        {"id": "a", "at": 0, "asked": 7, "prompt": "not looked at", "answer": "Yes."},
        {"id": "b", "at": 60, "prompt": "The quick brown fox jumps over the lazy dog. " * 100, "answer": TEXTS[TextClass.CYRILLIC] * 10},
        {"id": "b", "at": 90, "prompt": "again", "answer": "again"},
        {"id": "c", "at": 120, "asked": 3},
        {"id": "d", "at": 150, "asked": 10, "answer": "x" * 460},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = summarize(path, columns=COLUMNS)
    latin, cyrillic = ratio_of(TextClass.LATIN, "o200k_base"), ratio_of(TextClass.CYRILLIC, "o200k_base")
    asked = round(45 * 100 / latin.mid)
    answered = [round(4 / latin.mid), round(len(TEXTS[TextClass.CYRILLIC]) * 10 / cyrillic.mid), round(460 / latin.mid)]
    assert (summary.requests, summary.duplicates, summary.broken_rows) == (3, 1, 1)
    assert summary.broken_examples[0].place == "line 4"
    assert summary.broken_examples[0].reason == "'answer' is missing or no such number or time"
    assert summary.input_lengths.total_tokens == 7 + asked + 10
    assert summary.output_lengths.total_tokens == sum(answered)
    prompt, latin_answers, cyrillic_answers = summary.counted_texts
    assert (prompt.side, prompt.rows, prompt.tokens) == ("input", 1, asked)
    assert (latin_answers.rows, cyrillic_answers.rows) == (2, 1)
    assert prompt.low_tokens < prompt.tokens < prompt.high_tokens
    assert any("estimated from their text" in remark and "characters a token" in remark for remark in summary.remarks)
    assert workload_of(summary).input_tokens == pytest.approx((17 + asked) / 3)


def test_the_same_log_by_the_tokenizer(tmp_path):
    pytest.importorskip("bpe_openai", reason="the extra 'tokens' is not installed")
    path = tmp_path / "texts.csv"
    path.write_text('at,prompt,answer\n0,"tiktoken is great!",yes\n60,"tiktoken\nis great!",no\n')
    columns = LogFormat(time="at", time_unit=TimeUnit.ELAPSED_S, input_text="prompt", output_text="answer")
    summary = summarize(path, columns=columns, tokenizer="cl100k_base")
    count = exact_tokenizer("cl100k_base")
    assert count is not None
    assert summary.input_lengths.total_tokens == 6 + count("tiktoken\nis great!")
    assert [(one.low_tokens, one.tokens, one.high_tokens) for one in summary.counted_texts if one.side == "output"] == [(2, 2, 2)]
    assert any("counted from their text (tokenizer cl100k_base)" in remark for remark in summary.remarks)
    assert EXACT == 0


def test_a_mapping_must_name_tokens_or_text():
    with pytest.raises(ValueError, match="neither output_tokens nor output_text is given"):
        LogFormat(time="at", time_unit=TimeUnit.ELAPSED_S, input_tokens="asked")


# ---- the tokenizer of a GGUF file ----

MERGES = ["h e", "l l", "he ll"]


def byte_words() -> list[str]:
    """The 256 bytes as the signs that GPT-2's tokenizer writes them with."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def write_vocabulary(path: Path) -> Path:
    """A file without weights whose tokenizer knows the bytes, he, ll and hell."""
    writer = gguf.GGUFWriter(path, "llama")
    words = [*byte_words(), "he", "ll", "hell"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([1] * len(words))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.fixture
def vocabulary(tmp_path):
    return write_vocabulary(tmp_path / "llama-3.1-8b-small.gguf")


def test_a_gguf_file_counts_with_its_own_tokenizer(vocabulary):
    pytest.importorskip("llama_cpp")
    count = GgufTokenizer(vocabulary)
    assert [count(text) for text in ("hello", "hello hello", "he he", "", "é", "\ud800")] == [2, 5, 3, 0, 2, 1]  # hell + o; a space; ...
    assert count("hello" * 50_000) == 2 * 50_000  # in pieces of 100,000 characters
    count.close()
    with pytest.raises(InputError, match="ended by itself"):
        count("more")


def test_a_log_of_texts_is_counted_with_a_gguf_file(vocabulary, tmp_path):
    pytest.importorskip("llama_cpp")
    path = tmp_path / "texts.jsonl"
    rows = [{"id": str(number), "at": number * 60, "asked": None, "prompt": "hello hello", "answer": "hello"} for number in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = summarize(path, columns=COLUMNS, tokenizer=str(vocabulary))
    assert (summary.input_lengths.total_tokens, summary.output_lengths.total_tokens) == (15, 6)
    assert {text.how for text in summary.counted_texts} == {"tokenizer llama-3.1-8b-small.gguf"}
    assert summary.counted_with == workload_of(summary).tokens_counted_with == "llama3"


def test_a_file_without_a_tokenizer_is_one_sentence(tmp_path):
    pytest.importorskip("llama_cpp")
    path = tmp_path / "none.gguf"
    with pytest.raises(InputError, match="no such file"):
        text_counter(str(path))
    path.write_bytes(b"PK\x03\x04" * 100)
    with pytest.raises(InputError, match=r"none\.gguf cannot count tokens here: llama\.cpp cannot read it"):
        text_counter(str(path))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("no_vocab")
    writer.add_uint32("llama.vocab_size", 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(InputError, match=r"ended by itself: the file holds no vocabulary|cannot count tokens here"):
        text_counter(str(path)).counted("hello")
