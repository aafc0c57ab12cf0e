use std::path::Path;

use edgeformer::evaluate::{
    self, Activations, Classification, images_in, read_labels, read_questions,
};

use super::watch::watched;
use super::{percent, subject};
use crate::args::Accuracy;
use crate::failure::{Failure, Outcome};
use crate::{output, report};

pub fn run(command: &Accuracy) -> Outcome {
    match (&command.images, &command.questions) {
        (Some(folder), _) => images(command, folder),
        (None, Some(file)) => questions(command, file),
        (None, None) => Err(Failure::Usage("name --images or --questions".into())),
    }
}

fn questions(command: &Accuracy, file: &Path) -> Outcome {
    let config = command.run.model.config()?;
    let questions = read_questions(file)?;
    let options = subject::for_questions(&config);
    let subject = subject::open(&config, None, &options, Activations::AsUsual)?;
    let found = watched("asking", &command.run, &config, &options, |control| {
        evaluate::answer(&subject, &questions, control)
    })?;
    if command.run.json {
        return output::show_json(&found);
    }
    output::show(&format!(
        "acc {}\nacc_norm {}\n{} questions\n",
        percent(found.acc, found.acc_ci95),
        percent(found.acc_norm, found.acc_norm_ci95),
        found.questions
    ))?;
    Ok(())
}

fn images(command: &Accuracy, folder: &Path) -> Outcome {
    if command.labels.is_none() && command.reference.is_none() {
        let problem = "images alone say nothing: name --labels, --reference or both";
        return Err(Failure::Usage(problem.into()));
    }
    let config = command.run.model.config()?;
    let images = match &command.labels {
        Some(labels) => read_labels(labels, folder)?,
        None => images_in(folder)?,
    };
    let options = subject::for_images(&config);
    let engine = report::open(&config, &options)?;
    let reference = command.reference.as_deref();
    let reference =
        reference.map(|path| subject::open_reference(&config, path, &options)).transpose()?;
    let found = watched("looking", &command.run, &config, &options, |control| {
        evaluate::classify_images(&engine, reference.as_ref(), &images, control)
    })?;
    if command.run.json {
        return output::show_json(&found);
    }
    Ok(output::show(&table(&found))?)
}

fn table(found: &Classification) -> String {
    let rows = [
        ("top-1", found.top1),
        ("top-5", found.top5),
        ("same as the reference", found.top1_agreement),
    ];
    let line = |(name, share): (&str, Option<evaluate::Share>)| {
        share.map(|share| format!("{name} {}\n", percent(share.share, share.ci95)))
    };
    let lines: String = rows.into_iter().filter_map(line).collect();
    format!("{lines}{} images\n", found.images)
}
