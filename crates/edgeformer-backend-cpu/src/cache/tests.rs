//! The cache against a plain model of itself.
