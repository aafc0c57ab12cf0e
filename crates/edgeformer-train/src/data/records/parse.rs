//! From a line's JSON to a record, under the names that data sets use.

use edgeformer_models::text::Message;
use serde_json::{Map, Value};

use super::{ASSISTANT, Label, Record};

/// A record and what is said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub record: Record,
    /// `id`, a text or a number.
    pub id: Option<String>,
    /// `source`: where it comes from.
    pub source: Option<String>,
    /// `class`: what it is about.
    pub class: Option<String>,
}

const FORMS: &str = "a record is {\"text\"}, {\"prompt\", \"completion\"}, {\"messages\"}, \
                     {\"instruction\", \"input\", \"output\"} or {\"question\", \"answer\"}";

/// Reads a line of JSON. Where a line has the fields of several forms, the first of these counts:
/// `messages`; `prompt` and `completion`; `instruction` and `output`; `question` and `answer`;
/// `text`. Other fields are left alone.
///
/// # Errors
/// What is wrong with the line, and the remedy.
pub fn parse(line: &str) -> Result<Parsed, String> {
    let value: Value =
        serde_json::from_str(line).map_err(|error| format!("no JSON: {error}; {FORMS}"))?;
    let Value::Object(fields) = value else {
        return Err(format!("no JSON object but {}; {FORMS}", kind(&value)));
    };
    Ok(Parsed {
        record: record(&fields)?,
        id: name(&fields, "id")?,
        source: name(&fields, "source")?,
        class: name(&fields, "class")?,
    })
}

fn record(fields: &Map<String, Value>) -> Result<Record, String> {
    let has = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
    let both = |one, other| has(one) && has(other);
    if has("messages") {
        return conversation(messages(&fields["messages"], "messages")?);
    }
    if both("prompt", "completion") {
        return completion(&fields["prompt"], &fields["completion"]);
    }
    if both("instruction", "output") {
        let input = if has("input") { text(fields, "input")? } else { String::new() };
        let (instruction, output) = (text(fields, "instruction")?, text(fields, "output")?);
        return Ok(Record::Instruction { instruction, input, output });
    }
    if both("question", "answer") {
        let (question, answer) = (text(fields, "question")?, text(fields, "answer")?);
        return Ok(Record::Question { question, answer });
    }
    if has("text") {
        return Ok(Record::Text { text: text(fields, "text")?, label: label(fields)? });
    }
    let halves = [("prompt", "completion"), ("instruction", "output"), ("question", "answer")];
    Err(match halves.into_iter().find(|(one, other)| has(one) != has(other)) {
        Some((one, other)) if has(one) => format!("has {one:?} and no {other:?}; {FORMS}"),
        Some((one, other)) => format!("has {other:?} and no {one:?}; {FORMS}"),
        None => format!("none of the fields of a record; {FORMS}"),
    })
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    match &fields[name] {
        Value::String(text) => Ok(text.clone()),
        value => Err(format!("{name:?} must be text, is {}", kind(value))),
    }
}

/// A text or a whole number; absent is none.
fn name(fields: &Map<String, Value>, field: &str) -> Result<Option<String>, String> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
        Some(value) => Err(format!("{field:?} must be text or a whole number, is {}", kind(value))),
    }
}

fn label(fields: &Map<String, Value>) -> Result<Option<Label>, String> {
    match fields.get("label") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(class)) => Ok(Some(Label::Class(class.clone()))),
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(index), _) => Ok(Some(Label::Index(index))),
            (None, Some(value)) => Ok(Some(Label::Value(value))),
            (None, None) => Err(format!("\"label\" {number} is no number that can be learned")),
        },
        Some(value) => Err(format!("\"label\" must be text or a number, is {}", kind(value))),
    }
}

fn completion(prompt: &Value, completion: &Value) -> Result<Record, String> {
    match (prompt, completion) {
        (Value::String(prompt), Value::String(completion)) => {
            Ok(Record::Completion { prompt: prompt.clone(), completion: completion.clone() })
        }
        (Value::Array(_), Value::Array(_)) => {
            let prompt = messages(prompt, "prompt")?;
            let completion = messages(completion, "completion")?;
            if completion[0].role != ASSISTANT {
                let role = &completion[0].role;
                return Err(format!(
                    "\"completion\" begins with a message of {role:?}: the assistant's come first"
                ));
            }
            Ok(Record::Chat { prompt, completion })
        }
        (prompt, completion) => Err(format!(
            "\"prompt\" is {}, \"completion\" {}: both must be text, or both lists of messages",
            kind(prompt),
            kind(completion)
        )),
    }
}

/// A conversation in which everything behind the first question is followed.
fn conversation(messages: Vec<Message>) -> Result<Record, String> {
    let asked =
        messages.iter().position(|message| message.role != "system" && message.role != ASSISTANT);
    let asked = asked.ok_or("\"messages\" have none of the user")?;
    let answered = messages[asked..].iter().position(|message| message.role == ASSISTANT);
    let answered = asked + answered.ok_or("\"messages\" have no answer of the assistant's")?;
    let mut prompt = messages;
    let completion = prompt.split_off(answered);
    Ok(Record::Chat { prompt, completion })
}

/// Messages, at least one.
fn messages(value: &Value, field: &str) -> Result<Vec<Message>, String> {
    let Value::Array(list) = value else {
        return Err(format!("{field:?} must be a list of messages, is {}", kind(value)));
    };
    if list.is_empty() {
        return Err(format!("{field:?} is an empty list"));
    }
    let one = |(index, value)| {
        message(value).map_err(|problem| format!("message {} of {field:?} {problem}", index + 1))
    };
    list.iter().enumerate().map(one).collect()
}

fn message(value: &Value) -> Result<Message, String> {
    let (role, content) = (value.get("role"), value.get("content"));
    let Some(Value::String(role)) = role else {
        return Err("has no \"role\": write {\"role\": \"user\", \"content\": \"...\"}".into());
    };
    let content = match content {
        Some(Value::String(content)) => content.clone(),
        Some(Value::Array(parts)) => parts.iter().map(part).collect::<Result<_, _>>()?,
        Some(value) => return Err(format!("has {} for \"content\": it must be text", kind(value))),
        None => return Err("has no \"content\"".into()),
    };
    Ok(Message::new(role, content))
}

/// A part of a content in the form that OpenAI's API has.
fn part(value: &Value) -> Result<String, String> {
    match value.get("text") {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err("has a part of content that is no text".into()),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
