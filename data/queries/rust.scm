; Rust. What stands in an impl belongs to its type.

(impl_item type: (_) @scope) @container
(attribute_item) @attribute

(function_item) @definition.function
(function_signature_item) @definition.function
(struct_item) @definition.struct
(enum_item) @definition.enum
(enum_variant) @definition.constant
(union_item) @definition.union
(trait_item) @definition.trait
(type_item) @definition.type
(associated_type) @definition.type
(mod_item body: (_)) @definition.module
(const_item) @definition.constant
(static_item) @definition.variable
(macro_definition) @definition.macro

; //! and /*! are about what they stand in, not about what follows
(line_comment !inner) @comment
(block_comment !inner) @comment

(type_identifier) @reference
(call_expression function: (identifier) @reference)
(call_expression function: (field_expression field: (field_identifier) @reference))
(call_expression function: (scoped_identifier name: (identifier) @reference))
(generic_function function: (identifier) @reference)
(generic_function function: (field_expression field: (field_identifier) @reference))
(generic_function function: (scoped_identifier name: (identifier) @reference))
(macro_invocation macro: (identifier) @reference)
(macro_invocation macro: (scoped_identifier name: (identifier) @reference))
