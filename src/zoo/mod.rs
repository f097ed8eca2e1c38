//! The built-in architectures: what trained frameworks export, with weights drawn by rule, at any size.
//!
//! [`ENTRIES`] is the table; one file per family. Nothing is simplified: batch normalisation stands beside its
//! convolution, re-parameterisable networks have their training form, transformers their chains of reshapes.

mod bert;
mod builder;
mod dalle;
mod dense;
mod gpt2;
mod heads;
mod image;
mod inception;
mod lora;
mod lstm;
mod mobilenet;
mod mobileone;
mod moments;
mod nasnet;
mod nasrnn;
mod repvgg;
mod resnet;
mod squeezenet;
mod transducer;
mod vgg;
mod vit;

use std::collections::BTreeMap;

use crate::formats::model::Model;
use crate::graph::{Data, Graph, Init, OpKind, TensorError, TensorType, ValueRef};
use crate::ops;

/// What is wrong with a request for an architecture.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ZooError {
    /// No entry has this name.
    #[error("there is no built-in model {name}; there are {}", entry_names().join(", "))]
    UnknownModel {
        /// The name asked for.
        name: String,
    },
    /// The entry has no size of this name.
    #[error("model {model} has no size {size}; it has {}", .known.join(", "))]
    UnknownSize {
        /// Entry.
        model: String,
        /// The size asked for.
        size: String,
        /// The sizes that the entry has.
        known: Vec<String>,
    },
    /// A size is outside its range.
    #[error("model {model}: size {size} is {value}, and must be from {min} to {max}")]
    OutOfRange {
        /// Entry.
        model: String,
        /// Size.
        size: String,
        /// The value asked for.
        value: u64,
        /// Smallest value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
    },
    /// Sizes that do not fit each other.
    #[error("model {model} at {at}: {reason}")]
    DoesNotFit {
        /// Entry.
        model: String,
        /// The layer where it shows.
        at: String,
        /// What does not fit.
        reason: String,
    },
    /// A weight that cannot be (too large).
    #[error("model {model}, weight {weight}: {source}")]
    Tensor {
        /// Entry.
        model: String,
        /// Weight.
        weight: String,
        /// The tensor's complaint.
        source: TensorError,
    },
}

/// A size that an architecture takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Name, as on the command line.
    pub name: &'static str,
    /// Value of the published architecture, or the one that we chose.
    pub default: u64,
    /// Smallest value allowed.
    pub min: u64,
    /// Largest value allowed: far above anything in use, it only keeps a slip from filling the memory.
    pub max: u64,
}

/// The sizes of one model: each size of its entry with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes(BTreeMap<&'static str, u64>);

impl Sizes {
    /// The value of a size.
    fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().expect("an entry lists every size that its builder asks for")
    }

    /// Every size with its value, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, value)| (*name, *value))
    }
}

/// A row of the table of architectures.
pub struct Entry {
    /// Name, also of the file under `models/`.
    pub name: &'static str,
    /// What it is, in one line.
    pub description: &'static str,
    /// The sizes that it takes.
    pub sizes: &'static [Size],
    /// Builds it.
    build: fn(&str, &Sizes) -> Result<Model, ZooError>,
}

impl Entry {
    /// The entry's sizes with some of them replaced.
    ///
    /// # Errors
    /// An unknown size, or a value outside its range.
    pub fn sizes(&self, overrides: &[(&str, u64)]) -> Result<Sizes, ZooError> {
        let mut values: BTreeMap<&'static str, u64> = self.sizes.iter().map(|s| (s.name, s.default)).collect();
        for &(name, value) in overrides {
            let Some(size) = self.sizes.iter().find(|s| s.name == name) else {
                let known = self.sizes.iter().map(|s| s.name.to_string()).collect();
                return Err(ZooError::UnknownSize { model: self.name.into(), size: name.into(), known });
            };
            let Size { min, max, .. } = *size;
            if value < min || value > max {
                return Err(ZooError::OutOfRange { model: self.name.into(), size: name.into(), value, min, max });
            }
            values.insert(size.name, value);
        }
        Ok(Sizes(values))
    }

    /// The model at these sizes.
    ///
    /// # Errors
    /// Sizes that do not fit each other.
    pub fn build(&self, sizes: &Sizes) -> Result<Model, ZooError> {
        (self.build)(self.name, sizes)
    }
}

const fn size(name: &'static str, default: u64, min: u64, max: u64) -> Size {
    Size { name, default, min, max }
}

/// A width, a vocabulary and the like.
const fn width(name: &'static str, default: u64) -> Size {
    size(name, default, 1, 1 << 20)
}

/// A number of layers, steps or heads.
const fn count(name: &'static str, default: u64) -> Size {
    size(name, default, 1, 4096)
}

const BATCH: Size = count("batch", 1);
const CLASSES: Size = width("classes", 1000);

/// Batch, a square image of at least `min` pixels, classes.
const fn image_sizes(default: u64, min: u64) -> [Size; 3] {
    [BATCH, size("image", default, min, 4096), CLASSES]
}

/// Every built-in architecture.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "squeezenet1_1",
        description: "SqueezeNet 1.1: fire modules that squeeze and expand",
        sizes: &image_sizes(224, 32),
        build: squeezenet::squeezenet1_1,
    },
    Entry {
        name: "resnet18",
        description: "ResNet-18: basic residual blocks",
        sizes: &image_sizes(224, 32),
        build: resnet::resnet18,
    },
    Entry {
        name: "resnet50",
        description: "ResNet-50: bottleneck residual blocks",
        sizes: &image_sizes(224, 32),
        build: resnet::resnet50,
    },
    Entry {
        name: "resnext50_32x4d",
        description: "ResNeXt-50 32x4d: bottlenecks of grouped convolutions",
        sizes: &image_sizes(224, 32),
        build: resnet::resnext50_32x4d,
    },
    Entry {
        name: "inception_v3",
        description: "Inception-v3 without its auxiliary classifier",
        sizes: &image_sizes(299, 75),
        build: inception::inception_v3,
    },
    Entry {
        name: "mobilenet_v2",
        description: "MobileNet-v2: inverted residuals with depthwise convolutions",
        sizes: &image_sizes(224, 32),
        build: mobilenet::mobilenet_v2,
    },
    Entry {
        name: "vgg19",
        description: "VGG-19: plain convolutions and three large linear layers",
        sizes: &image_sizes(224, 32),
        build: vgg::vgg19,
    },
    Entry {
        name: "nasnet_a",
        description: "NASNet-A mobile (4 @ 1056): searched cells of separable convolutions and pools",
        sizes: &image_sizes(224, 64),
        build: nasnet::nasnet_a,
    },
    Entry {
        name: "repvgg_a0",
        description: "RepVGG-A0 in training form: 3x3, 1x1 and identity branches, each with batch normalisation",
        sizes: &image_sizes(224, 32),
        build: repvgg::repvgg_a0,
    },
    Entry {
        name: "mobileone_s0",
        description: "MobileOne-S0 in training form: four-fold over-parameterised depthwise and pointwise branches",
        sizes: &image_sizes(224, 32),
        build: mobileone::mobileone_s0,
    },
    Entry {
        name: "nasrnn",
        description: "NAS cell (Zoph and Le 2017) unrolled, a product for each gate, input and state",
        sizes: &[BATCH, count("steps", 5), width("hidden", 512)],
        build: nasrnn::nasrnn,
    },
    Entry {
        name: "lstm",
        description: "LSTM unrolled, a product for each gate, input and state",
        sizes: &[BATCH, count("steps", 8), width("input", 256), width("hidden", 512)],
        build: lstm::lstm,
    },
    Entry {
        name: "bert_base",
        description: "BERT-base with its pooler: token ids, mask and segment ids in, hidden states out",
        sizes: &bert::sizes(12, 768, 12, 128, 30_522),
        build: bert::bert,
    },
    Entry {
        name: "vit_b_16",
        description: "ViT-B/16: patches, class token, pre-norm encoder",
        sizes: &[
            BATCH,
            size("image", 224, 16, 4096),
            CLASSES,
            count("layers", 12),
            width("hidden", 768),
            count("heads", 12),
        ],
        build: vit::vit_b_16,
    },
    Entry {
        name: "gpt2",
        description: "GPT-2 small: token ids in, hidden states out (head=1: logits over the tied vocabulary)",
        sizes: &[
            BATCH,
            count("layers", 12),
            width("hidden", 768),
            count("heads", 12),
            size("sequence", 128, 1, 1024),
            width("vocabulary", 50_257),
            size("head", 0, 0, 1),
        ],
        build: gpt2::gpt2,
    },
    Entry {
        name: "dalle",
        description: "DALL-E-like blocks: text and image tokens, causal and row attention, gated feed-forward",
        sizes: &[
            BATCH,
            count("layers", 2),
            width("hidden", 512),
            count("heads", 8),
            size("text", 64, 1, 1024),
            size("rows", 8, 1, 64),
            width("text_vocabulary", 10_000),
            width("image_vocabulary", 8192),
        ],
        build: dalle::dalle,
    },
    Entry {
        name: "transformer_transducer",
        description: "Transformer-Transducer: audio encoder with relative, limited attention; label encoder; joint",
        sizes: &[
            BATCH,
            count("audio_layers", 2),
            count("label_layers", 1),
            width("hidden", 512),
            count("heads", 8),
            width("feed_forward", 2048),
            size("frames", 64, 2, 4096),
            size("labels", 16, 2, 1024),
            width("features", 128),
            width("vocabulary", 256),
            width("joint", 512),
        ],
        build: transducer::transformer_transducer,
    },
    Entry {
        name: "lora_mlp",
        description: "Multi-layer perceptron with an unmerged low-rank adapter beside each linear layer",
        sizes: &[count("batch", 64), count("layers", 6), width("hidden", 1024), width("rank", 64)],
        build: lora::lora_mlp,
    },
    Entry {
        name: "bert_2_layers",
        description: "The first two layers of a BERT-base at sequence 64 with a small vocabulary",
        sizes: &bert::sizes(2, 768, 12, 64, 1000),
        build: bert::bert,
    },
    Entry {
        name: "nasrnn_4",
        description: "Four steps of a small NAS cell",
        sizes: &[BATCH, count("steps", 4), width("hidden", 128)],
        build: nasrnn::nasrnn,
    },
    Entry {
        name: "resnext_stage",
        description: "The first stage of ResNeXt-50 32x4d alone: three bottlenecks",
        sizes: &[BATCH, size("image", 56, 8, 4096), count("blocks", 3)],
        build: resnet::resnext_stage,
    },
    Entry {
        name: "inception_pair",
        description: "Two modules of Inception-v3 (35 x 35) in a row",
        sizes: &[BATCH, size("image", 35, 3, 4096)],
        build: inception::inception_pair,
    },
    Entry {
        name: "attention_heads",
        description: "Pre-norm transformer blocks whose heads have separate projections",
        sizes: &[BATCH, count("layers", 1), width("hidden", 512), count("heads", 8), size("sequence", 64, 1, 4096)],
        build: heads::attention_heads,
    },
];

fn entry_names() -> Vec<&'static str> {
    ENTRIES.iter().map(|e| e.name).collect()
}

/// The entry of this name.
///
/// # Errors
/// There is none; the message lists what there is.
pub fn entry(name: &str) -> Result<&'static Entry, ZooError> {
    ENTRIES.iter().find(|e| e.name == name).ok_or_else(|| ZooError::UnknownModel { name: name.into() })
}

/// The architecture of this name with some sizes replaced.
///
/// # Errors
/// Unknown name or size, a size out of range, or sizes that do not fit each other.
pub fn build(name: &str, overrides: &[(&str, u64)]) -> Result<Model, ZooError> {
    let entry = entry(name)?;
    entry.build(&entry.sizes(overrides)?)
}

/// Number of trainable parameters of a built-in model, as frameworks count them: elements of weights drawn at random,
/// without the running statistics of batch normalisation.
pub fn parameters(model: &Model) -> u64 {
    let is_buffer = |name: &str| name.ends_with(".running_mean") || name.ends_with(".running_var");
    let is_drawn = |data: &Data| matches!(data, Data::Init(Init::Normal { .. } | Init::Uniform { .. }));
    let trainable = model.weights.iter().filter(|(name, w)| !is_buffer(name) && is_drawn(w.tensor.data()));
    trainable.map(|(_, w)| w.tensor.len()).sum()
}

/// Multiply-adds of one evaluation, as frameworks publish them: products of convolutions, Gemm, MatMul and Einsum, without
/// biases and without nodes that depend on weights alone. Half the FLOPs that those take.
pub fn multiply_adds(graph: &Graph) -> f64 {
    let multiplies = [OpKind::Conv, OpKind::Gemm, OpKind::MatMul, OpKind::Einsum];
    let of_node = |id| {
        let node = graph.node(id);
        if node.constant || !node.op.kind().is_some_and(|kind| multiplies.contains(&kind)) {
            return 0.0;
        }
        let ty = |value: &Option<ValueRef>| value.and_then(|v| graph.facts(v).ty.as_ref());
        let factors: Vec<Option<&TensorType>> = node.inputs.iter().take(2).map(ty).collect();
        let outputs: Vec<TensorType> = node.outputs.iter().filter_map(|o| o.facts.ty.clone()).collect();
        0.5 * ops::work(&node.op, &factors, &outputs).flops
    };
    graph.node_ids().map(of_node).sum()
}

#[cfg(test)]
mod alive;
#[cfg(test)]
mod tests;
