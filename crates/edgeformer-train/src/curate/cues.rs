//! Words by which a chain of reasoning is told. LIMO (Ye et al. 2025, section on reasoning chains)
//! names one or two of each kind; here they stand with their forms and their nearest kin. All are
//! in lower case, of one word or more.

/// Checking oneself: the paper's *check* and *verify*.
pub(super) const VERIFICATION: &[&str] = &[
    "check",
    "checks",
    "checked",
    "checking",
    "verify",
    "verifies",
    "verified",
    "verifying",
    "verification",
    "confirm",
    "confirms",
    "confirmed",
    "confirming",
    "make sure",
    "double check",
];

/// Trying something out: the paper's *perhaps* and *might*.
pub(super) const EXPLORATION: &[&str] = &[
    "perhaps",
    "might",
    "maybe",
    "could",
    "possibly",
    "alternatively",
    "another way",
    "what if",
    "suppose",
    "let s try",
    "let us try",
];

/// Steps that follow from each other: the paper's *therefore* and *since*.
pub(super) const CONNECTIVES: &[&str] = &[
    "therefore",
    "since",
    "because",
    "thus",
    "hence",
    "so",
    "then",
    "consequently",
    "as a result",
    "which means",
    "it follows",
    "given that",
];
