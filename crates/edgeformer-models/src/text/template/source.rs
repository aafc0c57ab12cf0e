//! What Hugging Face adds to Jinja's syntax.

use std::borrow::Cow;

/// Turns `{% generation %}` and `{% endgeneration %}`, which mark an answer's tokens for
/// training, into blocks that do nothing.
pub(super) fn without_generation_marks(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        // Behind the opening, so that `{%}` is not taken for both.
        let Some(len) = rest[start + 2..].find("%}") else { break };
        let end = start + 2 + len + 2;
        text.push_str(&rest[..start]);
        text.push_str(&tag(&rest[start..end]));
        rest = &rest[end..];
    }
    text.push_str(rest);
    text
}

fn tag(tag: &str) -> Cow<'_, str> {
    let name = tag[2..tag.len() - 2].trim_matches(['-', '+']).trim();
    match name {
        "generation" => Cow::Owned(tag.replacen(name, "if true", 1)),
        "endgeneration" => Cow::Owned(tag.replacen(name, "endif", 1)),
        _ => Cow::Borrowed(tag),
    }
}
