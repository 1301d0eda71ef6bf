//! Collections to come.

macro_rules! stub {
    ($($name:ident)*) => {$(
        /// To come.
        #[derive(Clone, Debug)]
        pub struct $name(Box<u64>);

        impl $name {
            /// Redis's name of the encoding.
            pub fn encoding_name(&self) -> &'static str {
                "none"
            }

            /// Bytes of memory it holds.
            pub fn memory_bytes(&self) -> usize {
                size_of_val(&*self.0)
            }

            /// Whether it has no elements.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many elements it has.
            pub fn len(&self) -> usize {
                *self.0 as usize
            }
        }
    )*};
}

stub!(Set);
