; TypeScript. A variable that holds a function is that function.

(export_statement declaration: (_)) @outer
(ambient_declaration) @outer
(decorator) @attribute

(function_declaration) @definition.function
(generator_function_declaration) @definition.function
(return_statement (function_expression name: (identifier) @name body: (_) @body)) @definition.function
(class_declaration) @definition.class
(method_definition) @definition.method
(public_field_definition name: (property_identifier) @name value: (arrow_function body: (_) @body)) @definition.method
(public_field_definition) @definition.property
(method_signature) @definition.method
(abstract_method_signature) @definition.method
(function_signature) @definition.function
(abstract_class_declaration) @definition.class
(interface_declaration) @definition.interface
(type_alias_declaration) @definition.type
(enum_declaration) @definition.enum
(enum_body name: (property_identifier) @definition.constant)
(enum_assignment name: (property_identifier)) @definition.constant
(internal_module) @definition.namespace
(module) @definition.namespace

(lexical_declaration (variable_declarator name: (identifier) @name value: (arrow_function body: (_) @body))) @definition.function
(lexical_declaration (variable_declarator name: (identifier) @name value: (function_expression body: (_) @body))) @definition.function
(lexical_declaration (variable_declarator name: (identifier) @name value: (class body: (_) @body))) @definition.class
(variable_declaration (variable_declarator name: (identifier) @name value: (arrow_function body: (_) @body))) @definition.function
(variable_declaration (variable_declarator name: (identifier) @name value: (function_expression body: (_) @body))) @definition.function
(variable_declaration (variable_declarator name: (identifier) @name value: (class body: (_) @body))) @definition.class

(assignment_expression
  left: (member_expression object: (member_expression object: (identifier) @scope) property: (property_identifier) @name)
  right: (function_expression body: (_) @body)) @definition.method
(assignment_expression
  left: (member_expression object: (member_expression object: (identifier) @scope) property: (property_identifier) @name)
  right: (arrow_function body: (_) @body)) @definition.method
(assignment_expression
  left: (member_expression object: (identifier) @scope property: (property_identifier) @name)
  right: (function_expression body: (_) @body)) @definition.function
(assignment_expression
  left: (member_expression object: (identifier) @scope property: (property_identifier) @name)
  right: (arrow_function body: (_) @body)) @definition.function

(pair key: (property_identifier) @name value: (function_expression body: (_) @body)) @definition.method
(pair key: (property_identifier) @name value: (arrow_function body: (_) @body)) @definition.method

(lexical_declaration "const" (variable_declarator name: (identifier) @name)) @definition.constant
(lexical_declaration (variable_declarator name: (identifier) @name)) @definition.variable
(variable_declaration (variable_declarator name: (identifier) @name)) @definition.variable

(arrow_function) @local
(function_expression) @local

(comment) @comment

(call_expression function: (identifier) @reference)
(call_expression function: (member_expression property: (property_identifier) @reference))
(new_expression constructor: (identifier) @reference)
(type_identifier) @reference
(extends_clause value: (identifier) @reference)
(import_specifier name: (identifier) @reference)
