use std::io::{self, BufRead, IsTerminal, Write};

use edgeformer::{Config, Conversation, Engine, EngineOptions, GenerateOptions, Message};
use edgeformer_models::atomic::write_atomically;
use serde_json::json;

use crate::args::Chat;
use crate::failure::{Failure, Outcome};
use crate::interrupt::{self, Answering};
use crate::report::{self, Report};
use crate::{output, saved};

const HELP: &str = "/reset starts over, /save FILE writes the conversation as JSON, /exit or Ctrl-D leaves; Ctrl-C stops an answer";

/// A conversation on the terminal.
struct Talk<'a> {
    engine: &'a Engine,
    conversation: Conversation<'a>,
    options: GenerateOptions,
    system: Option<&'a str>,
    messages: Vec<Message>,
    /// Whether the cache holds something of this talk.
    has_answered: bool,
    quiet: bool,
    explain: bool,
}

pub fn run(command: &Chat) -> Outcome {
    let config = command.model.config_with(&command.text)?;
    let mut options = GenerateOptions::from(&config);
    options.sampling.logit_bias = command.text.sampling.logit_bias.clone();
    interrupt::install()
        .map_err(|error| Failure::Failed(format!("Ctrl-C cannot be taken over: {error}")))?;
    let explain = command.text.explain;
    let engine_options = EngineOptions { explain, ..EngineOptions::from(&config) };
    let engine = report::open(&config, &engine_options)?;
    if !engine.has_chat_template() {
        let remedy = "use generate, or a model that was trained to talk";
        return Err(Failure::Failed(format!("the model has no chat template: {remedy}")));
    }
    if !config.quiet {
        eprintln!("{HELP}");
    }
    let conversation = engine.conversation();
    saved::restore(&conversation, &config)?;
    let mut talk = Talk {
        engine: &engine,
        conversation,
        options,
        system: command.system.as_deref(),
        messages: Vec::new(),
        has_answered: false,
        quiet: config.quiet,
        explain,
    };
    talk.reset();
    talk.hold(&config)?;
    // Without an answer there is nothing new to save.
    if talk.has_answered { saved::keep(&talk.conversation, &config) } else { Ok(()) }
}

impl Talk<'_> {
    /// Line by line, to the end.
    fn hold(&mut self, config: &Config) -> Outcome {
        while let Some(line) = read_line(config.quiet)? {
            match line.trim() {
                "" => {}
                "/exit" | "/quit" => break,
                "/help" => eprintln!("{HELP}"),
                "/reset" => self.reset(),
                "/save" => eprintln!("error: /save needs the name of a file"),
                text => match text.strip_prefix("/save ") {
                    Some(file) => self.save(file.trim()),
                    None if text.starts_with('/') => {
                        eprintln!("error: unknown command {text}; {HELP}")
                    }
                    None => self.turn(text)?,
                },
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.messages.clear();
        self.messages.extend(
            self.system.map(|text| Message { role: "system".into(), content: text.into() }),
        );
    }

    fn save(&self, file: &str) {
        let listed: Vec<_> =
            self.messages.iter().map(|m| json!({ "role": m.role, "content": m.content })).collect();
        let text = format!("{:#}\n", json!(listed));
        match write_atomically(file.as_ref(), |out| out.write_all(text.as_bytes())) {
            Ok(()) => eprintln!("saved {} messages to {file}", listed.len()),
            Err(error) => eprintln!("error: {error}"),
        }
    }

    /// One question and its answer. What was written before an error or Ctrl-C stays part of the talk.
    fn turn(&mut self, text: &str) -> Outcome {
        self.messages.push(Message { role: "user".into(), content: text.into() });
        let mut answer = String::new();
        match self.answer(&mut answer) {
            Ok(()) => self.messages.push(Message { role: "assistant".into(), content: answer }),
            Err(Failure::Io(error)) => return Err(error.into()),
            Err(error) => {
                // The question has no answer: it must not stand before the next one.
                self.messages.pop();
                eprintln!("error: {error}");
            }
        }
        Ok(())
    }

    fn answer(&mut self, answer: &mut String) -> Outcome {
        let answering = Answering::start();
        let mut stream = self.conversation.generate(self.messages.as_slice(), &self.options)?;
        self.has_answered = true;
        while !answering.stopped() {
            let Some(piece) = stream.next() else { break };
            let piece = piece?;
            output::show(&piece)?;
            answer.push_str(&piece);
        }
        output::show("\n")?;
        if let Some(finish) = stream.finish()
            && !self.quiet
        {
            eprintln!("{}", Report::of(finish.stats, self.engine, self.explain)?);
        }
        Ok(())
    }
}

/// The next line, `None` at the end.
fn read_line(quiet: bool) -> Result<Option<String>, Failure> {
    let mut input = io::stdin().lock();
    if input.is_terminal() && !quiet {
        eprint!("> ");
        io::stderr().flush()?;
    }
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let text = String::from_utf8(line);
    Ok(Some(text.map_err(|_| Failure::Failed("stdin: the line is not valid UTF-8".into()))?))
}
