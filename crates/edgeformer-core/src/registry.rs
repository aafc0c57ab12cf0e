use std::fmt;
use std::sync::Arc;

use crate::{Backend, Device, Error, Graph, Result};

/// The backends of a process. Registration is explicit; nothing appears by being linked.
#[derive(Default, Clone)]
pub struct Registry {
    backends: Vec<Arc<dyn Backend>>,
}

/// Which backend is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selection {
    /// The device with the highest score that can run the graph.
    #[default]
    Auto,
    /// This backend, on this device or on its best one, and no other.
    Exact {
        /// [`Backend::name`].
        backend: String,
        /// [`Device::id`].
        device: Option<String>,
    },
}

/// What was selected, and why not the others.
#[derive(Clone)]
pub struct Choice {
    /// The backend.
    pub backend: Arc<dyn Backend>,
    /// Its device.
    pub device: Device,
    /// Every candidate that was passed over.
    pub refused: Vec<Refusal>,
}

/// Why a backend or a device was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The backend's name.
    pub backend: String,
    /// The device, unless the backend as a whole is refused.
    pub device: Option<String>,
    /// The reason, one line.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Some(device) => write!(f, "{}/{}: {}", self.backend, device, self.reason),
            None => write!(f, "{}: {}", self.backend, self.reason),
        }
    }
}

impl std::str::FromStr for Selection {
    type Err = std::convert::Infallible;

    /// `auto`, `BACKEND` or `BACKEND/DEVICE`.
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(match text.split_once('/') {
            _ if text.eq_ignore_ascii_case("auto") => Self::Auto,
            Some((backend, device)) => {
                Self::Exact { backend: backend.into(), device: Some(device.into()) }
            }
            None => Self::Exact { backend: text.into(), device: None },
        })
    }
}

impl Registry {
    /// Adds a backend. A backend of the same name is replaced.
    pub fn register(&mut self, backend: Arc<dyn Backend>) {
        self.backends.retain(|known| known.name() != backend.name());
        self.backends.push(backend);
    }

    /// The registered backends, in the order of registration.
    pub fn backends(&self) -> &[Arc<dyn Backend>] {
        &self.backends
    }

    /// Chooses where `graph` runs.
    ///
    /// # Errors
    /// If nothing that was asked for can run it. The error carries every reason; an exact
    /// selection never falls back.
    pub fn select(&self, selection: &Selection, graph: &Graph) -> Result<Choice> {
        let mut refused = Vec::new();
        let mut candidates = Vec::new();
        for backend in self.backends.iter().filter(|backend| selection.names(backend.name())) {
            match backend.devices() {
                Ok(devices) => {
                    candidates.extend(devices.into_iter().map(|device| (backend, device)))
                }
                Err(Error::Backend { problem, .. }) => {
                    refused.push(refusal(backend.as_ref(), None, problem));
                }
                Err(error) => refused.push(refusal(backend.as_ref(), None, error.to_string())),
            }
        }
        candidates.retain(|(_, device)| selection.allows(&device.id));
        // Stable: of equal scores the first registered wins.
        candidates.sort_by_key(|(_, device)| std::cmp::Reverse(device.score));

        let mut chosen: Option<(Arc<dyn Backend>, Device)> = None;
        for (backend, device) in candidates {
            let reason = match (&chosen, backend.check(graph, &device)) {
                (_, Err(unsupported)) => unsupported.to_string(),
                (Some((_, best)), Ok(())) => {
                    format!("score {} is not above {}", device.score, best.score)
                }
                (None, Ok(())) => {
                    chosen = Some((backend.clone(), device));
                    continue;
                }
            };
            refused.push(refusal(backend.as_ref(), Some(device.id), reason));
        }
        match chosen {
            Some((backend, device)) => Ok(Choice { backend, device, refused }),
            None => Err(Error::NoBackend(self.nothing_found(selection, &refused))),
        }
    }

    fn nothing_found(&self, selection: &Selection, refused: &[Refusal]) -> String {
        let reasons = refused.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ");
        let known =
            self.backends.iter().map(|backend| backend.name()).collect::<Vec<_>>().join(", ");
        match (selection, refused.is_empty()) {
            (_, false) => format!("no backend can run this graph: {reasons}"),
            (Selection::Auto, true) => "no backend is compiled in".into(),
            (Selection::Exact { backend, device: None }, true) => {
                format!("there is no backend {backend:?}; compiled in: {known}")
            }
            (Selection::Exact { backend, device: Some(device) }, true) => {
                format!(
                    "there is no device {device:?} of a backend {backend:?}; compiled in: {known}"
                )
            }
        }
    }
}

impl Selection {
    fn names(&self, name: &str) -> bool {
        match self {
            Self::Auto => true,
            Self::Exact { backend, .. } => backend == name,
        }
    }

    fn allows(&self, id: &str) -> bool {
        match self {
            Self::Exact { device: Some(device), .. } => device == id,
            _ => true,
        }
    }
}

fn refusal(backend: &dyn Backend, device: Option<String>, reason: String) -> Refusal {
    Refusal { backend: backend.name().into(), device, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, GraphInput, OutputKind};
    use crate::{CompileOptions, Footprint, Model, Program, SessionOptions, Unsupported};

    /// A backend with devices of these names and scores, or none that it could find; it refuses
    /// every device whose name starts with `broken`, for two reasons.
    struct Fake {
        name: &'static str,
        devices: Option<&'static [(&'static str, u32)]>,
    }

    impl Backend for Fake {
        fn name(&self) -> &str {
            self.name
        }

        fn devices(&self) -> Result<Vec<Device>> {
            let devices = self.devices.ok_or_else(|| Error::Backend {
                backend: self.name.into(),
                problem: "the driver is not installed".into(),
            })?;
            let device = |&(id, score): &(&str, u32)| Device {
                id: id.into(),
                description: "a fake".into(),
                facts: Vec::new(),
                score,
            };
            Ok(devices.iter().map(device).collect())
        }

        fn check(&self, _: &Graph, device: &Device) -> Result<(), Unsupported> {
            if !device.id.starts_with("broken") {
                return Ok(());
            }
            Err(Unsupported { reasons: vec!["no rope".into(), "no experts".into()] })
        }

        fn plan(&self, _: &Model, _: &CompileOptions, _: &SessionOptions) -> Result<Footprint> {
            Ok(Footprint::default())
        }

        fn compile(&self, _: Arc<Model>, _: &CompileOptions) -> Result<Arc<dyn Program>> {
            Err(Error::Backend { backend: self.name.into(), problem: "a fake".into() })
        }
    }

    fn registry(backends: impl IntoIterator<Item = Fake>) -> Registry {
        let mut registry = Registry::default();
        backends.into_iter().for_each(|backend| registry.register(Arc::new(backend)));
        registry
    }

    fn usual() -> Registry {
        registry([
            Fake { name: "cpu", devices: Some(&[("cpu", 100)]) },
            Fake { name: "gpu", devices: Some(&[("0", 500), ("broken", 900), ("1", 500)]) },
            Fake { name: "npu", devices: None },
        ])
    }

    fn graph() -> Graph {
        let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: 2, context: 2 });
        let x = b.embed("table", 2, 1.0).unwrap();
        b.finish(OutputKind::HiddenStates, x).unwrap()
    }

    /// The choice, then every refusal, a line each.
    fn selected(registry: &Registry, selection: &str) -> String {
        match registry.select(&selection.parse().unwrap(), &graph()) {
            Ok(choice) => {
                let chosen = format!("{}/{}", choice.backend.name(), choice.device.id);
                let refused = choice.refused.iter().map(Refusal::to_string);
                std::iter::once(chosen).chain(refused).collect::<Vec<_>>().join("\n")
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn auto_takes_the_best_that_can_and_says_why_not_the_others() {
        insta::assert_snapshot!(selected(&usual(), "auto"), @r#"
        gpu/0
        npu: the driver is not installed
        gpu/broken: no rope; no experts
        gpu/1: score 500 is not above 500
        cpu/cpu: score 100 is not above 500
        "#);
    }

    #[test]
    fn exact_takes_what_it_is_told() {
        insta::assert_snapshot!(selected(&usual(), "cpu"), @"cpu/cpu");
        insta::assert_snapshot!(selected(&usual(), "gpu/1"), @"gpu/1");
    }

    #[test]
    fn exact_never_falls_back() {
        insta::assert_snapshot!(
            selected(&usual(), "gpu/broken"),
            @"error: no backend can run this graph: gpu/broken: no rope; no experts"
        );
        insta::assert_snapshot!(
            selected(&usual(), "npu"),
            @"error: no backend can run this graph: npu: the driver is not installed"
        );
        insta::assert_snapshot!(
            selected(&usual(), "tpu"),
            @r#"error: there is no backend "tpu"; compiled in: cpu, gpu, npu"#
        );
        insta::assert_snapshot!(
            selected(&usual(), "cpu/7"),
            @r#"error: there is no device "7" of a backend "cpu"; compiled in: cpu, gpu, npu"#
        );
    }

    #[test]
    fn auto_without_a_candidate_lists_every_reason() {
        let registry = registry([
            Fake { name: "gpu", devices: Some(&[("broken", 1)]) },
            Fake { name: "npu", devices: None },
        ]);
        insta::assert_snapshot!(
            selected(&registry, "auto"),
            @"error: no backend can run this graph: npu: the driver is not installed; gpu/broken: no rope; no experts"
        );
        insta::assert_snapshot!(
            selected(&Registry::default(), "AUTO"),
            @"error: no backend is compiled in"
        );
    }

    #[test]
    fn a_backend_of_the_same_name_is_replaced() {
        let mut registry = usual();
        registry.register(Arc::new(Fake { name: "cpu", devices: Some(&[("new", 1000)]) }));
        let names: Vec<_> = registry.backends().iter().map(|backend| backend.name()).collect();
        assert_eq!(names, ["gpu", "npu", "cpu"]);
        assert!(selected(&registry, "auto").starts_with("cpu/new\n"));
    }
}
