; Swift. What stands in an extension belongs to the type it extends.

(class_declaration declaration_kind: "extension" name: (_) @scope) @container
(class_declaration declaration_kind: "class" name: (type_identifier) @name) @definition.class
(class_declaration declaration_kind: "actor" name: (type_identifier) @name) @definition.class
(class_declaration declaration_kind: "struct" name: (type_identifier) @name) @definition.struct
(class_declaration declaration_kind: "enum" name: (type_identifier) @name) @definition.enum
(protocol_declaration) @definition.interface
(enum_entry name: (simple_identifier) @name) @definition.constant
(function_declaration name: (simple_identifier) @name) @definition.function
(protocol_function_declaration name: (simple_identifier) @name) @definition.method
(init_declaration name: _ @name) @definition.method
(deinit_declaration "deinit" @name) @definition.method
(subscript_declaration "subscript" @name) @definition.method
(typealias_declaration name: (type_identifier) @name) @definition.type
(associatedtype_declaration name: (type_identifier) @name) @definition.type
(macro_declaration (simple_identifier) @name) @definition.macro
(property_declaration name: (pattern bound_identifier: (simple_identifier) @name) computed_value: (_) @body) @definition.property
(property_declaration name: (pattern bound_identifier: (simple_identifier) @name)) @definition.property
(protocol_property_declaration name: (pattern bound_identifier: (simple_identifier) @name)) @definition.property

(lambda_literal) @local
(computed_property) @local

(comment) @comment
(multiline_comment) @comment

(call_expression (simple_identifier) @reference)
(call_expression (navigation_expression suffix: (navigation_suffix suffix: (simple_identifier) @reference)))
(user_type (type_identifier) @reference)
