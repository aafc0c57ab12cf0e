use crate::{Error, Result};

/// Puts `content` into the place of a document that is marked for it, so that figures in a text
/// come from the command that measures them and from nowhere else:
///
/// ```text
/// <!-- figures: NAME -->
/// what stood here is replaced
/// <!-- end of figures -->
/// ```
///
/// # Errors
/// If the document has no such place.
pub fn fill(document: &str, name: &str, content: &str) -> Result<String> {
    const END: &str = "<!-- end of figures -->";
    let begin = format!("<!-- figures: {name} -->\n");
    let missing = || {
        Error::Request(format!(
            "the document has no place for {name:?}: mark one with {begin:?} and {END:?}"
        ))
    };
    let start = document.find(&begin).ok_or_else(missing)? + begin.len();
    let end = start + document[start..].find(END).ok_or_else(missing)?;
    Ok(format!("{}{}\n{}", &document[..start], content.trim_end(), &document[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_replaced_and_all_else_stays() {
        let document = "a\n<!-- figures: x -->\nold\n<!-- end of figures -->\nb\n\
                        <!-- figures: y -->\n<!-- end of figures -->\n";
        let filled = fill(document, "x", "new\n\n").unwrap();
        let filled = fill(&filled, "y", "other").unwrap();
        assert_eq!(
            filled,
            "a\n<!-- figures: x -->\nnew\n<!-- end of figures -->\nb\n\
             <!-- figures: y -->\nother\n<!-- end of figures -->\n"
        );
        assert_eq!(fill(&filled, "y", "other").unwrap(), filled);
        assert!(fill(document, "z", "").unwrap_err().to_string().contains("figures: z"));
        assert!(fill("<!-- figures: x -->\n", "x", "").is_err());
    }
}
