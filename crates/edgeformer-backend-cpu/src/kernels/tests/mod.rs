//! Properties of the tables.
