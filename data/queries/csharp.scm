; C#.

(namespace_declaration) @definition.namespace
(class_declaration) @definition.class
(record_declaration) @definition.class
(struct_declaration) @definition.struct
(interface_declaration) @definition.interface
(enum_declaration) @definition.enum
(enum_member_declaration) @definition.constant
(delegate_declaration) @definition.type
(method_declaration) @definition.method
(constructor_declaration) @definition.method
(destructor_declaration) @definition.method
(operator_declaration operator: _ @name) @definition.method
(local_function_statement) @definition.function
(property_declaration accessors: (_) @body) @definition.property
(property_declaration) @definition.property
(event_declaration) @definition.property
(event_field_declaration (variable_declaration (variable_declarator) @name)) @definition.property
(field_declaration (variable_declaration (variable_declarator) @name)) @definition.property

(comment) @comment

(invocation_expression function: (identifier) @reference)
(invocation_expression function: (generic_name (identifier) @reference))
(invocation_expression function: (member_access_expression name: (identifier) @reference))
(invocation_expression function: (member_access_expression name: (generic_name (identifier) @reference)))
(invocation_expression function: (conditional_access_expression (member_binding_expression name: (identifier) @reference)))
(object_creation_expression type: (identifier) @reference)
(object_creation_expression type: (generic_name (identifier) @reference))
(base_list (identifier) @reference)
(base_list (generic_name (identifier) @reference))
(parameter type: (identifier) @reference)
(variable_declaration type: (identifier) @reference)
(variable_declaration type: (generic_name (identifier) @reference))
(method_declaration returns: (identifier) @reference)
(property_declaration type: (identifier) @reference)
(type_argument_list (identifier) @reference)
(attribute name: (identifier) @reference)
