#include <galley/io/graph.hpp>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

namespace galley::inline v1 {

namespace io::detail {

namespace {

/// A definition's name as a part of a JSON pointer in a URI.
std::string pointer(const std::string& name) {
  constexpr const char* digits = "0123456789ABCDEF";
  std::string all;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
    if (plain) {
      all += c;
    } else if (c == '~' || c == '/') {
      all += c == '~' ? "~0" : "~1";
    } else {
      all += {'%', digits[byte >> 4U], digits[byte & 15U]};
    }
  }
  return all;
}

Value reference(const std::string& name) {
  Value value;
  value.set("$ref", Value("#/$defs/" + pointer(name)));
  return value;
}

Value constant(const std::string& text) {
  Value value;
  value.set("const", Value(text));
  return value;
}

Value of_type(const char* type) {
  Value value;
  value.set("type", type);
  return value;
}

Value texts(const std::vector<std::string>& all) {
  Value::List list;
  for (const std::string& text : all) list.emplace_back(text);
  Value value;
  value.set("enum", Value(std::move(list)));
  return value;
}

Value count(std::size_t n) {
  return Value(static_cast<std::int64_t>(n));
}

/// The JSON Schema of all that a registry knows.
class SchemaWriter {
 public:
  explicit SchemaWriter(const Contents& registry) : registry_(registry) {
    for (const auto& [thing, value] : registry.values)
      things_of(thing).values.push_back(thing.name);
    for (const auto& [thing, maker] : registry.makers) {
      things_of(thing).makers.emplace_back(thing.name, &maker);
    }
  }

  Value document() const {
    Value root;
    root.set("$schema", "https://json-schema.org/draft/2020-12/schema");
    root.set("title", "galley graph");
    Value::List outermost;
    for (const auto& [name, kind] : registry_.kinds) outermost.push_back(node(name, kind, true));
    outermost.push_back(use(true));
    root.set("oneOf", Value(std::move(outermost)));
    Value definitions;
    Value::List any_node{of_type("string"), reference("use")};
    definitions.set("use", use(false));
    for (const auto& [name, kind] : registry_.kinds) {
      definitions.set("node." + name, node(name, kind, false));
      any_node.push_back(reference("node." + name));
    }
    Value any;
    any.set("oneOf", Value(std::move(any_node)));
    definitions.set("node", std::move(any));
    for (const auto& [id, things] : families_) definitions.set(things.definition, family(things));
    root.set("$defs", std::move(definitions));
    return root;
  }

 private:
  /// What there is of a family. A definition of its own: a policy may be made of others like it.
  struct Things {
    std::string definition;
    std::vector<std::string> values;
    std::vector<std::pair<std::string, const Maker*>> makers;
  };

  static Value use(bool outermost) {
    Value members;
    members.set("use", of_type("string"));
    if (outermost) add_outermost(members);
    return object(std::move(members), {"use"}, "A servable by its name.");
  }

  /// What only the outermost node may have.
  static void add_outermost(Value& members) {
    Value define = of_type("object");
    define.set("additionalProperties", reference("node"));
    members.set("define", std::move(define));
    members.set("$schema", of_type("string"));
  }

  static Value object(Value members, const std::vector<std::string>& required,
                      const std::string& doc) {
    Value value = of_type("object");
    if (!doc.empty()) value.set("description", Value(doc));
    value.set("properties", std::move(members));
    if (!required.empty()) value.set("required", *texts(required).find("enum"));
    value.set("additionalProperties", Value(false));
    return value;
  }

  Value node(const std::string& name, const NodeKind& kind, bool outermost) const {
    Value members;
    members.set("kind", constant(name));
    if (outermost) add_outermost(members);
    return fields(kind.schema, std::move(members), {"kind"});
  }

  Value fields(const Schema& schema, Value members, std::vector<std::string> required) const {
    if (members.object() == nullptr) members = Value(Value::Object());
    for (const Field& field : schema.fields) {
      Value value = of(field.schema);
      value.set("description", Value(field.doc));
      if (field.otherwise.has_value()) value.set("default", *field.otherwise);
      if (field.required) required.push_back(field.name);
      members.set(field.name, std::move(value));
    }
    return object(std::move(members), required, schema.doc);
  }

  Value of(const Schema& schema) const {
    switch (schema.type) {
      case Schema::Type::boolean:
        return of_type("boolean");
      case Schema::Type::integer:
        return integer(schema);
      case Schema::Type::number:
        return number(schema);
      case Schema::Type::text:
        return text(schema);
      case Schema::Type::choice:
        return texts(schema.choices);
      case Schema::Type::duration: {
        Value value = of_type("string");
        value.set("pattern", "^[0-9]+(ns|us|ms|s)$");
        return value;
      }
      case Schema::Type::list: {
        Value value = of_type("array");
        value.set("items", of(schema.element[0]));
        value.set("minItems", count(schema.min_items));
        value.set("maxItems", count(schema.max_items));
        return value;
      }
      case Schema::Type::object:
        return without_description(fields(schema, Value(), {}));
      case Schema::Type::servable:
        return reference("node");
      case Schema::Type::named:
        return named(schema);
    }
    return Value(true);
  }

  static Value integer(const Schema& schema) {
    Value value = of_type("integer");
    if (schema.least != std::numeric_limits<std::int64_t>::min()) {
      value.set("minimum", Value(schema.least));
    }
    if (schema.most != std::numeric_limits<std::int64_t>::max()) {
      value.set("maximum", Value(schema.most));
    }
    return value;
  }

  static Value number(const Schema& schema) {
    Value value = of_type("number");
    if (std::isfinite(schema.low)) value.set("minimum", Value(schema.low));
    if (std::isfinite(schema.high)) value.set("maximum", Value(schema.high));
    return value;
  }

  static Value text(const Schema& schema) {
    Value value = of_type("string");
    if (schema.min_items != 0) value.set("minLength", count(schema.min_items));
    value.set("maxLength", count(schema.max_items));
    return value;
  }

  Value named(const Schema& schema) const {
    Value::List ways;
    for (const Family& family : schema.families) {
      const auto at = families_.find(family.id);
      if (at != families_.end()) ways.push_back(reference(at->second.definition));
    }
    Value value;
    if (ways.empty()) {  // the host has put none into the registry
      value.set("not", Value(Value::Object()));
    } else {
      value.set("anyOf", Value(std::move(ways)));
    }
    return value;
  }

  Value family(const Things& things) const {
    Value::List ways;
    for (const auto& [name, maker] : things.makers) {
      Value members;
      members.set("kind", constant(name));
      ways.push_back(fields(maker->schema, std::move(members), {"kind"}));
    }
    if (!things.values.empty()) ways.push_back(texts(things.values));
    Value value;
    value.set("anyOf", Value(std::move(ways)));
    return value;
  }

  Things& things_of(const ThingName& thing) {
    Things& things = families_[thing.family.id];
    if (!things.definition.empty()) return things;
    things.definition = "named." + std::string(thing.family.name);
    for (const auto& [id, other] : families_) {
      if (&other != &things && other.definition == things.definition) things.definition += "'";
    }
    return things;
  }

  static Value without_description(Value value) {
    std::erase_if(*value.object(), [](const Value::Member& m) { return m.name == "description"; });
    return value;
  }

  const Contents& registry_;
  std::map<const void*, Things> families_;
};

}  // namespace

}  // namespace io::detail

std::string schema_of(const Registry& registry) {
  return io::to_json(io::detail::SchemaWriter(registry.contents()).document());
}

}  // namespace galley::inline v1
