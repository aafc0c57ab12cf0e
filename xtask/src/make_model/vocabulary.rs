use edgeformer_models::gguf::{GgufWriter, MetadataArray, MetadataValue};

/// GGUF's token types.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const UNUSED: i32 = 5;

/// Writes a byte-level vocabulary: 256 bytes, one control token, padding up to `size`.
pub fn describe(file: &mut GgufWriter<'_>, size: usize) {
    let end = 256;
    let tokens = (0..size).map(|id| match id {
        0..256 => symbol(id as u8).to_string(),
        256 => "<|endoftext|>".to_string(),
        _ => format!("<|unused_{id}|>"),
    });
    let kind = |id| match id {
        0..256 => NORMAL,
        256 => CONTROL,
        _ => UNUSED,
    };
    let types: Vec<i32> = (0..size).map(kind).collect();
    file.metadata("tokenizer.ggml.model", "gpt2");
    file.metadata("tokenizer.ggml.pre", "gpt-2");
    file.metadata("tokenizer.ggml.tokens", MetadataArray::strings(tokens));
    file.metadata("tokenizer.ggml.token_type", MetadataArray::from(types.as_slice()));
    file.metadata("tokenizer.ggml.merges", MetadataArray::strings::<&str>([]));
    file.metadata("tokenizer.ggml.bos_token_id", MetadataValue::U32(end));
    file.metadata("tokenizer.ggml.eos_token_id", MetadataValue::U32(end));
    file.metadata("tokenizer.ggml.add_bos_token", false);
}

/// The letter by which byte-level vocabularies write a byte (GPT-2's `bytes_to_unicode`):
/// printable Latin-1 stands for itself, the others follow from U+0100 on.
fn symbol(byte: u8) -> char {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(&byte) {
        return char::from(byte);
    }
    let place = (0..byte).filter(|byte| !printable(byte)).count() as u32;
    char::from_u32(0x100 + place).expect("there are 68 of them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_symbols_of_gpt2() {
        assert_eq!(symbol(b'A'), 'A');
        assert_eq!(symbol(b' '), 'Ġ');
        assert_eq!(symbol(b'\n'), 'Ċ');
        assert_eq!(symbol(0xad), 'Ń');
    }
}
