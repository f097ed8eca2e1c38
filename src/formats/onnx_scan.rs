//! A look at a protobuf file before it is decoded: how many messages it holds.
//!
//! An empty message takes two bytes in a file and hundreds in memory, so that a small hostile file could fill any
//! machine. Counting takes no memory and skips the data of tensors.

use super::error::Problem;

/// A file may hold this many messages (nodes, attributes, values, dimensions, …). A node of a real model takes about
/// ten; decoded, this many messages take some GB at worst.
const MAX_MESSAGES: u64 = 8_000_000;
/// A file may hold this many texts in lists (names of operands, elements of string tensors), which take 32 bytes each.
const MAX_TEXTS: u64 = 32_000_000;
/// Nesting that is followed; the decoder refuses more than 100 levels.
const MAX_DEPTH: u32 = 110;

/// The messages that hold messages.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Value,
    Type,
    TensorType,
    ElementType,
    MapType,
    Function,
    Training,
    Device,
    Sharding,
    /// A message whose own messages are in field 2.
    Second,
    /// A message whose own messages are in field 1.
    First,
    Leaf,
}

/// The kind of the message in this field; `None` for a field that holds none.
fn child(kind: Kind, field: u64) -> Option<Kind> {
    Some(match (kind, field) {
        (Kind::Model, 7) | (Kind::Attribute, 6 | 11) | (Kind::Training, 1 | 2) => Kind::Graph,
        (Kind::Model, 20) => Kind::Training,
        (Kind::Model, 25) => Kind::Function,
        (Kind::Graph, 1) | (Kind::Function, 7) => Kind::Node,
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::Sparse, 1 | 2) => Kind::Tensor,
        (Kind::Graph, 11..=13) | (Kind::Function, 12) => Kind::Value,
        (Kind::TensorType, 2) => Kind::First,
        (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Kind::Sparse,
        (Kind::Node, 5) | (Kind::Function, 11) => Kind::Attribute,
        (Kind::Node, 10) => Kind::Device,
        (Kind::Device, 2) => Kind::Sharding,
        (Kind::Graph, 14) | (Kind::Sharding, 4) => Kind::Second,
        (Kind::Attribute, 14 | 15) | (Kind::Value, 2) | (Kind::ElementType, 1) | (Kind::MapType, 2) => Kind::Type,
        (Kind::Type, 1 | 8) => Kind::TensorType,
        (Kind::Type, 4 | 9) => Kind::ElementType,
        (Kind::Type, 5) => Kind::MapType,
        (Kind::Model, 8 | 14 | 26)
        | (Kind::Tensor, 3)
        | (Kind::Graph, 16)
        | (Kind::Node, 9)
        | (Kind::Tensor, 13 | 16)
        | (Kind::Value, 4)
        | (Kind::Type, 7)
        | (Kind::Function, 9 | 14)
        | (Kind::Training, 3 | 4)
        | (Kind::Sharding, 3)
        | (Kind::Second, 2)
        | (Kind::First, 1) => Kind::Leaf,
        _ => return None,
    })
}

/// Whether this field of the message is a list of texts.
fn is_text_list(kind: Kind, field: u64) -> bool {
    matches!((kind, field), (Kind::Node, 1 | 2) | (Kind::Attribute, 9) | (Kind::Tensor, 6) | (Kind::Function, 4..=6))
}

/// What was met.
#[derive(Default)]
struct Count {
    messages: u64,
    texts: u64,
}

/// Refuses a message (a file is one of the kind [`Kind::Model`]) that holds too many messages or texts. Broken ones pass:
/// the decoder says what is wrong with them.
pub(super) fn check_size(kind: Kind, bytes: &[u8]) -> Result<(), Problem> {
    let mut count = Count::default();
    walk(kind, bytes, 0, &mut count);
    let (limit, what) = match count {
        Count { messages, .. } if messages > MAX_MESSAGES => (MAX_MESSAGES, "messages (nodes, attributes, values, …)"),
        Count { texts, .. } if texts > MAX_TEXTS => (MAX_TEXTS, "names and other texts"),
        _ => return Ok(()),
    };
    Err(Problem::new(format_args!("more than {limit} {what}, which is no real model")))
}

/// Counts the messages below this one; `None` where the bytes end or make no sense, or there are too many.
fn walk(kind: Kind, mut bytes: &[u8], depth: u32, count: &mut Count) -> Option<()> {
    count.messages += 1;
    if depth > MAX_DEPTH || count.messages > MAX_MESSAGES {
        return None;
    }
    if matches!(kind, Kind::Leaf) {
        return Some(());
    }
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let skip = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let content = bytes.get(..skip)?;
        bytes = &bytes[skip..];
        if key & 7 == 2 && is_text_list(kind, key >> 3) {
            count.texts += 1;
            if count.texts > MAX_TEXTS {
                return None;
            }
        }
        if let (2, Some(child)) = (key & 7, child(kind, key >> 3)) {
            walk(child, content, depth + 1, count)?;
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `inner` as field `field`.
    fn within(field: u8, inner: &[u8]) -> Vec<u8> {
        let mut out = vec![field << 3 | 2];
        prost::encode_length_delimiter(inner.len(), &mut out).unwrap();
        out.extend_from_slice(inner);
        out
    }

    #[test]
    fn a_flood_of_empty_messages_is_refused_before_it_is_decoded() {
        let nodes = within(1, &[]).repeat(8_000_001);
        let error = check_size(Kind::Model, &within(7, &nodes)).unwrap_err();
        assert!(error.what.contains("more than 8000000 messages"), "{error}");
        // The same bytes as the data of a tensor are no messages.
        assert_eq!(check_size(Kind::Model, &within(7, &within(5, &within(9, &nodes)))), Ok(()));
    }

    #[test]
    fn a_flood_of_empty_texts_is_refused_before_it_is_decoded() {
        let names = within(1, &[]).repeat(32_000_001);
        let error = check_size(Kind::Model, &within(7, &within(1, &names))).unwrap_err();
        assert!(error.what.contains("more than 32000000 names"), "{error}");
        assert!(check_size(Kind::Node, &names).is_err());
    }

    #[test]
    fn every_message_is_counted() {
        let file = include_bytes!("../../tests/data/every_field.onnx");
        let mut count = Count::default();
        assert_eq!(walk(Kind::Model, file, 0, &mut count), Some(()));
        // Each message begins with its field's key, and the debug form of each begins with its name.
        let decoded: super::super::proto::ModelProto = prost::Message::decode(&file[..]).unwrap();
        let text = format!("{decoded:?}");
        assert_eq!(count.messages, text.matches(" {").count() as u64);
    }
}
