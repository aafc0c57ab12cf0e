//! Weights as constants, and the products with them.

use edgeformer_core::graph::WeightId;
use edgeformer_core::{Format, Result, Tensor, Weight};

use super::Translator;
use super::builder::Name;
use crate::onnx::{Attribute, Data, Element, Form, Initializer, bits};

impl<'a> Translator<'a> {
    pub(super) fn weight(&self, id: WeightId) -> Result<&'a Weight> {
        self.model.weights.get(&self.model.graph.weight(id).name)
    }

    pub(super) fn weight_name(&self, id: WeightId) -> &'a str {
        &self.model.graph.weight(id).name
    }

    /// `x Wᵀ`, a product a part of the weight.
    pub(super) fn product(&mut self, x: &str, name: &str, parts: &[Tensor]) -> Result<Name> {
        let mut products = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let name = part_name(name, index, parts.len());
            products.push(self.part_product(x, &name, part)?);
        }
        if let [product] = products.as_slice() {
            return Ok(product.clone());
        }
        let products: Vec<&str> = products.iter().map(String::as_str).collect();
        Ok(self.b.concat(&products, -1))
    }

    fn part_product(&mut self, x: &str, name: &str, part: &Tensor) -> Result<Name> {
        match bits(part.format()) {
            // Other libraries know codes of four bits.
            Some(bits) if bits == 4 || !self.options.plain => {
                self.block_product(x, name, part, bits)
            }
            _ => {
                let weight = self.float_weight(name, part);
                Ok(self.b.times_transposed(x, (&weight, 2), 1.0))
            }
        }
    }

    /// A product with blocks of codes, their zero in the middle of what their bits can say.
    fn block_product(&mut self, x: &str, name: &str, part: &Tensor, bits: i64) -> Result<Name> {
        let (rows, columns) = (part.shape()[0], part.row_len());
        let block = part.format().block_len();
        let codes = self.codes(name, part, bits, &[rows, columns / block]);
        let scales = self.scales(name, part, &[rows * columns / block]);
        let attributes = vec![
            ("K", Attribute::Int(columns as i64)),
            ("N", Attribute::Int(rows as i64)),
            ("bits", Attribute::Int(bits)),
            ("block_size", Attribute::Int(block as i64)),
            // Activations become 8-bit codes, as in the other runtimes for these formats.
            ("accuracy_level", Attribute::Int(4)),
        ];
        Ok(self.b.contrib("MatMulNBits", &[x, &codes, &scales], attributes))
    }

    /// The codes of a weight's blocks, the bytes of a block as the last dimension.
    fn codes(&mut self, name: &str, part: &Tensor, bits: i64, blocks: &[usize]) -> Name {
        let bytes = part.format().block_len() * bits as usize / 8;
        self.made(
            format!("{name}.codes"),
            part,
            Form::Codes,
            Element::U8,
            &[blocks, &[bytes]].concat(),
        )
    }

    fn scales(&mut self, name: &str, part: &Tensor, shape: &[usize]) -> Name {
        self.made(format!("{name}.scales"), part, Form::Scales, Element::F32, shape)
    }

    fn made(
        &mut self,
        name: String,
        part: &Tensor,
        form: Form,
        element: Element,
        shape: &[usize],
    ) -> Name {
        let data = Data::Made(part.clone(), form);
        self.b.initializer(Initializer { name, element, shape: shape.to_vec(), data })
    }

    /// A tensor of the model as floats of 32 bits: those of the file where it has such.
    pub(super) fn float_weight(&mut self, name: &str, part: &Tensor) -> Name {
        let in_place = matches!(part.format(), Format::F16 | Format::BF16) && self.options.in_place;
        match part.format() {
            Format::F32 => self.shared(name, part),
            _ if in_place => self.widened(name, part),
            _ => {
                let shape = part.shape().to_vec();
                self.made(name.to_owned(), part, Form::Floats, Element::F32, &shape)
            }
        }
    }

    /// Floats as the file has them, as a constant.
    pub(super) fn shared(&mut self, name: &str, part: &Tensor) -> Name {
        let element = match part.format() {
            Format::F16 => Element::F16,
            Format::BF16 => Element::BF16,
            _ => Element::F32,
        };
        let data = Data::Shared(part.bytes().clone());
        let (shape, suffix) =
            (part.shape().to_vec(), if element == Element::F32 { "" } else { ".half" });
        self.b.initializer(Initializer { name: format!("{name}{suffix}"), element, shape, data })
    }

    fn widened(&mut self, name: &str, part: &Tensor) -> Name {
        let half = self.shared(name, part);
        // Not shared between users: the runtime frees it after the one.
        self.b.op("Cast", &[&half], vec![("to", Attribute::Int(Element::F32 as i64))])
    }

    /// A weight of few elements as floats, with a number added to each.
    pub(super) fn small(&mut self, id: WeightId, offset: f32) -> Result<Name> {
        let weight = self.weight(id)?;
        let name = self.weight_name(id);
        if let ([part], true) = (weight.parts(), offset == 0.0)
            && part.format() == Format::F32
        {
            return Ok(self.shared(name, part));
        }
        let values: Vec<f32> = weight.to_f32().iter().map(|value| value + offset).collect();
        Ok(self.b.floats(weight.shape(), &values))
    }

    /// A whole weight as floats in its own shape, whatever it is made of.
    pub(super) fn table(&mut self, id: WeightId) -> Result<Name> {
        let weight = self.weight(id)?;
        match weight.parts() {
            [part] => Ok(self.float_weight(self.weight_name(id), part)),
            parts => {
                let mut names = Vec::new();
                for (index, part) in parts.iter().enumerate() {
                    let shape = match part.shape().len() == weight.shape().len() {
                        true => part.shape().to_vec(),
                        false => [&[1], part.shape()].concat(),
                    };
                    let name = part_name(self.weight_name(id), index, parts.len());
                    names.push(self.float_weight(&name, &part.reshape(shape)?));
                }
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                Ok(self.b.concat(&names, 0))
            }
        }
    }

    /// Rows of a table by their numbers.
    pub(super) fn gather_rows(&mut self, id: WeightId, rows: &str) -> Result<Name> {
        let weight = self.weight(id)?;
        let name = self.weight_name(id).to_owned();
        let [part] = weight.parts() else {
            let table = self.table(id)?;
            return Ok(self.b.op("Gather", &[&table, rows], vec![]));
        };
        match (part.format(), bits(part.format())) {
            (Format::F16 | Format::BF16, _) => {
                let table = self.shared(&name, part);
                let rows = self.b.op("Gather", &[&table, rows], vec![]);
                Ok(self.b.op("Cast", &[&rows], vec![("to", Attribute::Int(Element::F32 as i64))]))
            }
            (_, Some(bits)) => Ok(self.gather_blocks(&name, part, bits, rows)),
            _ => {
                let table = self.float_weight(&name, part);
                Ok(self.b.op("Gather", &[&table, rows], vec![]))
            }
        }
    }

    fn gather_blocks(&mut self, name: &str, part: &Tensor, bits: i64, rows: &str) -> Name {
        let (count, columns) = (part.shape()[0], part.row_len());
        let block = part.format().block_len();
        // Another shape of what `MatMulNBits` takes: a constant of its own.
        let width = columns * bits as usize / 8;
        let codes = self.made(
            format!("{name}.rows.codes"),
            part,
            Form::Codes,
            Element::U8,
            &[count, width],
        );
        let scales = self.made(
            format!("{name}.rows.scales"),
            part,
            Form::Scales,
            Element::F32,
            &[count, columns / block],
        );
        let attributes = vec![
            ("bits", Attribute::Int(bits)),
            ("block_size", Attribute::Int(block as i64)),
            ("gather_axis", Attribute::Int(0)),
            ("quantize_axis", Attribute::Int(1)),
        ];
        self.b.contrib("GatherBlockQuantized", &[&codes, rows, &scales], attributes)
    }
}

fn part_name(name: &str, index: usize, parts: usize) -> String {
    if parts == 1 { name.into() } else { format!("{name}.{index}") }
}
