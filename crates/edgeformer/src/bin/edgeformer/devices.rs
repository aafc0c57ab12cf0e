use edgeformer::{Device, EngineOptions, builtin_backends};
use serde::Serialize;

use crate::args::Devices;
use crate::failure::Outcome;
use crate::output;

/// A backend and what it found, or why it can serve nothing.
#[derive(Serialize)]
struct Listed {
    backend: String,
    devices: Vec<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

pub fn run(command: &Devices) -> Outcome {
    let config = command.model.config()?;
    let registry = builtin_backends(&EngineOptions::from(&config))?;
    let listed: Vec<Listed> = registry
        .backends()
        .iter()
        .map(|backend| {
            let backend_name = backend.name().to_string();
            match backend.devices() {
                Ok(devices) => Listed { backend: backend_name, devices, refused: None },
                Err(error) => Listed {
                    backend: backend_name,
                    devices: Vec::new(),
                    refused: Some(error.to_string()),
                },
            }
        })
        .collect();
    if command.json {
        return output::show_json(&serde_json::json!({ "backends": listed }));
    }
    if listed.is_empty() {
        output::show("no backend is compiled in\n")?;
    }
    for Listed { backend, devices, refused } in &listed {
        for device in devices {
            output::show(&format!(
                "{backend}/{}  {} (score {})\n",
                device.id, device.description, device.score
            ))?;
            for (name, value) in &device.facts {
                output::show(&format!("  {name}: {value}\n"))?;
            }
        }
        if let Some(reason) = refused {
            output::show(&format!("{backend}  cannot serve: {reason}\n"))?;
        }
    }
    Ok(())
}
