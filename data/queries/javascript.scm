; JavaScript. A variable that holds a function is that function.

(export_statement declaration: (_)) @outer

(function_declaration) @definition.function
(generator_function_declaration) @definition.function
(return_statement (function_expression name: (identifier) @name body: (_) @body)) @definition.function
(class_declaration) @definition.class
(method_definition) @definition.method
(field_definition property: (property_identifier) @name value: (arrow_function body: (_) @body)) @definition.method

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
(class_heritage (identifier) @reference)
(jsx_opening_element name: (identifier) @reference)
(jsx_self_closing_element name: (identifier) @reference)
(import_specifier name: (identifier) @reference)
