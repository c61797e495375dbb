; PHP.

(namespace_definition body: (_)) @definition.namespace
(class_declaration) @definition.class
(interface_declaration) @definition.interface
(trait_declaration) @definition.trait
(enum_declaration) @definition.enum
(enum_case) @definition.constant
(function_definition) @definition.function
(method_declaration) @definition.method
(const_declaration (const_element (name) @name)) @definition.constant
(property_declaration (property_element name: (variable_name (name) @name))) @definition.property

(comment) @comment

(function_call_expression function: (name) @reference)
(function_call_expression function: (qualified_name (name) @reference))
(member_call_expression name: (name) @reference)
(nullsafe_member_call_expression name: (name) @reference)
(scoped_call_expression name: (name) @reference)
(scoped_call_expression scope: (name) @reference)
(class_constant_access_expression . (name) @reference)
(object_creation_expression (name) @reference)
(object_creation_expression (qualified_name (name) @reference))
(named_type (name) @reference)
(named_type (qualified_name (name) @reference))
(base_clause (name) @reference)
(class_interface_clause (name) @reference)
(namespace_use_clause (qualified_name (name) @reference))
(attribute (name) @reference)
