use super::Kind;

pub(super) const KIND: Kind =
    Kind { prefix: "metal", feature: "metal", score: 0, description: "", open: None, most: 0 };

#[cfg(test)]
mod tests {
    #[test]
    fn a_device_that_is_not_compiled_in_says_what_is_missing() {
        insta::assert_snapshot!(
            crate::devices::open("metal:0").unwrap_err(),
            @r#"backend "candle": device "metal:0" needs a build with the feature "candle-metal""#
        );
    }
}
