; Kotlin. An extension function belongs to its receiver.

(class_declaration "interface" (class_body) @body) @definition.interface
(class_declaration "interface") @definition.interface
(class_declaration (enum_class_body) @body) @definition.enum
(class_declaration (class_body) @body) @definition.class
(class_declaration) @definition.class
(object_declaration (class_body) @body) @definition.class
(object_declaration) @definition.class
(enum_entry (identifier) @name) @definition.constant
(function_declaration (user_type) @scope "." name: (_) @name (function_body) @body) @definition.method
(function_declaration (user_type) @scope "." name: (_) @name) @definition.method
(function_declaration (function_body) @body) @definition.function
(function_declaration) @definition.function
(type_alias type: (identifier) @name) @definition.type
(property_declaration (variable_declaration (identifier) @name)) @definition.property

(lambda_literal) @local
(anonymous_function) @local
(anonymous_initializer) @local
(getter) @local
(setter) @local

(line_comment) @comment
(block_comment) @comment

(call_expression (identifier) @reference)
(call_expression (navigation_expression (identifier) @reference .))
(user_type (identifier) @reference)
