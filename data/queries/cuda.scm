; CUDA C++: kernels are functions, and their launches calls. A declaration without a body is a use of the function's name.

(template_declaration) @outer

(function_definition) @definition.function
(class_specifier name: (_) body: (_)) @definition.class
(namespace_definition name: (_)) @definition.namespace
(concept_definition) @definition.type
(alias_declaration) @definition.type

(type_definition type: (struct_specifier name: (_) @name body: (_) @body)) @definition.struct
(type_definition type: (union_specifier name: (_) @name body: (_) @body)) @definition.union
(type_definition type: (enum_specifier name: (_) @name body: (_) @body)) @definition.enum
(type_definition type: (struct_specifier !name body: (_) @body) declarator: (type_identifier) @name) @definition.struct
(type_definition type: (union_specifier !name body: (_) @body) declarator: (type_identifier) @name) @definition.union
(type_definition type: (enum_specifier !name body: (_) @body) declarator: (type_identifier) @name) @definition.enum
(struct_specifier name: (_) body: (_)) @definition.struct
(union_specifier name: (_) body: (_)) @definition.union
(enum_specifier name: (_) body: (_)) @definition.enum
(enumerator) @definition.constant
(type_definition declarator: (_) @name) @definition.type

(preproc_function_def value: (_) @body) @definition.macro
(preproc_function_def) @definition.macro
(preproc_def) @definition.macro

(declaration declarator: (init_declarator) @name) @definition.variable
(declaration declarator: (identifier) @name) @definition.variable
(declaration declarator: (array_declarator) @name) @definition.variable
(declaration declarator: (pointer_declarator declarator: (identifier) @name)) @definition.variable
(declaration declarator: (pointer_declarator declarator: (array_declarator) @name)) @definition.variable

(compound_statement) @local

(comment) @comment

(type_identifier) @reference
(function_declarator declarator: (identifier) @reference)
(function_declarator declarator: (field_identifier) @reference)
(call_expression function: (identifier) @reference)
(call_expression function: (field_expression field: (field_identifier) @reference))
(call_expression function: (qualified_identifier name: (identifier) @reference))
(call_expression function: (qualified_identifier name: (qualified_identifier name: (identifier) @reference)))
(template_function name: (identifier) @reference)
(template_method name: (field_identifier) @reference)
(initializer_pair value: (identifier) @reference)
