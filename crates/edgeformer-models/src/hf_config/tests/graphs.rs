use super::configs;

/// The graph of every family, as text.
#[test]
fn graphs_of_all_families() {
    for (name, config) in configs::all() {
        let graph = configs::graph(&config);
        assert_eq!(graph.name, name);
        insta::assert_snapshot!(name, graph.to_text());
    }
}

/// The graph survives JSON, the form that plugins get it in.
#[test]
fn graphs_are_data() {
    for (_, config) in configs::all() {
        let graph = configs::graph(&config);
        let json = serde_json::to_string(&graph).unwrap();
        assert_eq!(serde_json::from_str::<edgeformer_core::Graph>(&json).unwrap(), graph);
    }
}
