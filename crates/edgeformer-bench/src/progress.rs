/// How far a measurement is: for a line on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Steps that are done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
    /// What is being measured now.
    pub what: &'a str,
}
