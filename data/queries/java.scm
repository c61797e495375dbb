; Java.

(class_declaration) @definition.class
(record_declaration) @definition.class
(interface_declaration) @definition.interface
(annotation_type_declaration) @definition.interface
(enum_declaration) @definition.enum
(enum_constant) @definition.constant
(method_declaration) @definition.method
(constructor_declaration) @definition.method
(compact_constructor_declaration) @definition.method
(annotation_type_element_declaration) @definition.method
(field_declaration declarator: (_) @name) @definition.property
(constant_declaration declarator: (_) @name) @definition.constant
(module_declaration name: (_) @name) @definition.module

(line_comment) @comment
(block_comment) @comment

(type_identifier) @reference
(method_invocation name: (identifier) @reference)
(marker_annotation name: (identifier) @reference)
(annotation name: (identifier) @reference)
