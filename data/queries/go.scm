; Go. A method belongs to the type of its receiver.

(type_declaration) @outer
(const_declaration) @outer
(var_declaration) @outer

(function_declaration) @definition.function
(method_declaration receiver: (parameter_list (parameter_declaration type: (_) @scope))) @definition.method
(method_declaration) @definition.method
(type_spec type: (struct_type) @body) @definition.struct
(type_spec type: (interface_type) @body) @definition.interface
(type_spec) @definition.type
(type_alias) @definition.type
(method_elem) @definition.method
(const_spec (identifier) @name) @definition.constant
(var_spec name: (identifier) @name) @definition.variable

(func_literal) @local

(comment) @comment

(type_identifier) @reference
(call_expression function: (identifier) @reference)
(call_expression function: (selector_expression field: (field_identifier) @reference))
