use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::run::{Result, cargo, read};

/// Who may depend on whom, outside tests. A crate that is not listed may not exist.
const ARROWS: &[(&str, &[&str])] = &[
    ("edgeformer-core", &[]),
    ("edgeformer-models", &["edgeformer-core"]),
    ("edgeformer-backend-candle", &["edgeformer-core", "edgeformer-sequences"]),
    ("edgeformer-backend-cpu", &["edgeformer-core"]),
    ("edgeformer-backend-onnx", &["edgeformer-core", "edgeformer-sequences"]),
    ("edgeformer-backend-rocm", &["edgeformer-core", "edgeformer-backend-onnx"]),
    ("edgeformer-conformance", &["edgeformer-core", "edgeformer-models"]),
    ("edgeformer-plugin", &["edgeformer-core"]),
    ("edgeformer-quantize", &["edgeformer-core", "edgeformer-models"]),
    ("edgeformer-sequences", &["edgeformer-core"]),
    ("edgeformer-train", &["edgeformer-core", "edgeformer-models", "edgeformer-backend-candle"]),
    (
        "edgeformer",
        &[
            "edgeformer-core",
            "edgeformer-models",
            "edgeformer-backend-candle",
            "edgeformer-backend-cpu",
            "edgeformer-backend-onnx",
            "edgeformer-backend-rocm",
            "edgeformer-plugin",
            "edgeformer-quantize",
            "edgeformer-train",
        ],
    ),
    (
        "edgeformer-bench",
        &[
            "edgeformer",
            "edgeformer-backend-cpu",
            "edgeformer-backend-onnx",
            "edgeformer-core",
            "edgeformer-models",
            "edgeformer-quantize",
        ],
    ),
    (
        "xtask",
        &[
            "edgeformer",
            "edgeformer-bench",
            "edgeformer-conformance",
            "edgeformer-core",
            "edgeformer-models",
        ],
    ),
];

/// Checks that the crates depend on each other as the design draws it.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let text =
        read(cargo().current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    Ok(members(&metadata)
        .into_iter()
        .flat_map(|(name, dependencies)| check_crate(&name, &dependencies))
        .collect())
}

/// Names of our crates, with those of ours they depend on outside tests.
fn members(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let empty = Vec::new();
    let list = |value: &Value| value.as_array().unwrap_or(&empty).clone();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_string();
    let packages = list(&metadata["packages"]);
    let ours: Vec<String> = packages.iter().map(name).collect();
    let dependencies = |package: &Value| {
        let normal =
            list(&package["dependencies"]).into_iter().filter(|found| found["kind"] != "dev");
        normal.map(|found| name(&found)).filter(|found| ours.contains(found)).collect()
    };
    packages.iter().map(|package| (name(package), dependencies(package))).collect()
}

fn check_crate(name: &str, dependencies: &[String]) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return vec![format!(
            "{name}: the crate is not in the table of arrows (xtask/src/tidy/arrows.rs)"
        )];
    };
    let wrong = dependencies.iter().filter(|found| !allowed.contains(&found.as_str()));
    wrong.map(|found| format!("{name}: may not depend on {found}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_that_point_up_are_refused() {
        assert!(check_crate("edgeformer-models", &["edgeformer-core".into()]).is_empty());
        assert_eq!(check_crate("edgeformer-core", &["edgeformer-models".into()]).len(), 1);
        assert_eq!(check_crate("edgeformer-new", &[]).len(), 1);
    }
}
