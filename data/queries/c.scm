; C. Prototypes are uses: the name of a function that a definition does not claim.

(function_definition) @definition.function

(type_definition type: (struct_specifier name: (type_identifier) @name body: (_) @body)) @definition.struct
(type_definition type: (union_specifier name: (type_identifier) @name body: (_) @body)) @definition.union
(type_definition type: (enum_specifier name: (type_identifier) @name body: (_) @body)) @definition.enum
(struct_specifier name: (type_identifier) @name body: (_)) @definition.struct
(union_specifier name: (type_identifier) @name body: (_)) @definition.union
(enum_specifier name: (type_identifier) @name body: (_)) @definition.enum
(enumerator) @definition.constant
(type_definition type: (struct_specifier !name body: (_)) declarator: (type_identifier) @name) @definition.struct
(type_definition) @definition.type
(preproc_function_def value: (_) @body) @definition.macro
(preproc_function_def) @definition.macro
(preproc_def) @definition.macro
(declaration declarator: (init_declarator) @name) @definition.variable

(comment) @comment

(type_identifier) @reference
(function_declarator declarator: (identifier) @reference)
(call_expression function: (identifier) @reference)
(call_expression function: (field_expression field: (field_identifier) @reference))
