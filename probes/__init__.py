"""What a server did when it was asked: llama.cpp on this machine, or any endpoint that speaks the OpenAI protocol."""
