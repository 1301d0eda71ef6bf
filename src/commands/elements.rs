//! What commands of several families do with the elements of collections.

use super::{Context, Key};
use crate::data::listpack::Element;
use crate::resp::Reply;

/// Replies with an element as a bulk string.
#[inline]
pub fn reply_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Integer(number) => reply.bulk_integer(number),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Notes that a collection has lost elements; nobody keeps one without any.
pub fn removed(ctx: &mut Context<'_>, key: &Key<'_>, is_empty: bool) {
    if is_empty {
        ctx.store.take(key);
    } else {
        ctx.store.changed(key);
    }
}
