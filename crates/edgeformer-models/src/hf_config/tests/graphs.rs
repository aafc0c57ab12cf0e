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

/// Those of classifiers: no other head, and the pooler where the family has one.
#[test]
fn graphs_of_classifiers() {
    let heads = configs::classifiers().into_iter().map(|(name, config)| {
        let graph = configs::graph(&config);
        assert_eq!(graph.output_width(), 3, "{name}");
        assert!(graph.weight_id("output.weight").is_none(), "{name}");
        let text = graph.to_text();
        if ["llama-classifier", "bert-classifier"].contains(&name.as_str()) {
            insta::assert_snapshot!(name.as_str(), text);
        }
        let behind = text.find("pool").map_or("", |start| &text[start..]);
        format!("{name}\n{behind}")
    });
    insta::assert_snapshot!("classifier-heads", heads.collect::<Vec<_>>().join("\n"));
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
