//! Model families: one small function each, from hyper-parameters to a graph.
