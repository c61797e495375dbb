; Lua. M.f and M:f belong to M.

(function_declaration name: (identifier) @name) @definition.function
(function_declaration name: (dot_index_expression table: (_) @scope field: (identifier) @name)) @definition.function
(function_declaration name: (method_index_expression table: (_) @scope method: (identifier) @name)) @definition.method

(assignment_statement
  (variable_list name: (dot_index_expression table: (_) @scope field: (identifier) @name))
  (expression_list value: (function_definition body: (_) @body))) @definition.function
(assignment_statement
  (variable_list name: (dot_index_expression table: (_) @scope field: (identifier) @name))
  (expression_list value: (function_definition))) @definition.function
(variable_declaration (assignment_statement
  (variable_list name: (identifier) @name)
  (expression_list value: (function_definition body: (_) @body)))) @definition.function
(assignment_statement
  (variable_list name: (identifier) @name)
  (expression_list value: (function_definition body: (_) @body))) @definition.function
(field name: (identifier) @name value: (function_definition body: (_) @body)) @definition.function
(field name: (identifier) @name value: (function_definition)) @definition.function

(variable_declaration (assignment_statement
  (variable_list name: (identifier) @name) (expression_list value: (function_definition)))) @definition.function

(variable_declaration (assignment_statement (variable_list name: (identifier) @name))) @definition.variable
(assignment_statement (variable_list name: (identifier) @name)) @definition.variable
(assignment_statement (variable_list name: (dot_index_expression table: (_) @scope field: (identifier) @name))) @definition.variable

(function_definition) @local

(comment) @comment

(function_call name: (identifier) @reference)
(function_call name: (dot_index_expression field: (identifier) @reference))
(function_call name: (method_index_expression method: (identifier) @reference))
