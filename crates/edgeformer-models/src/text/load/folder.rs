//! A tokenizer from whatever a Hugging Face folder holds.
