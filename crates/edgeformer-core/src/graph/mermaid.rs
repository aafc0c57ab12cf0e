use std::fmt::Write;

use super::Graph;

impl Graph {
    /// The graph as a Mermaid flow chart, for Markdown and for <https://mermaid.live>.
    pub fn to_mermaid(&self) -> String {
        let mut chart = String::from("flowchart TD\n");
        let mut line =
            |text: String| writeln!(chart, "  {text}").expect("writing to a string cannot fail");
        line(format!("input([\"{}\"])", self.input));
        let mut maker = vec![0; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            let mut label = vec![format!("<b>{}</b>", node.op.name())];
            label.extend(self.attributes(&node.op));
            line(format!("n{index}[\"{}\"]", label.join("<br/>").replace('"', "'")));
            if node.inputs.is_empty() {
                line(format!("input --> n{index}"));
            }
            for value in &node.inputs {
                let info = self.values[value.index()];
                line(format!(
                    "n{} -- \"{}x{}\" --> n{index}",
                    maker[value.index()],
                    info.rows,
                    info.width
                ));
            }
            node.outputs.iter().for_each(|value| maker[value.index()] = index);
        }
        line(format!(
            "n{} --> output([\"{}\"])",
            maker[self.output.value.index()],
            self.output.kind.tensor_name()
        ));
        chart
    }
}
