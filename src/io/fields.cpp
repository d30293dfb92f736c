#include <galley/io/fields.hpp>

#include <cstddef>
#include <optional>
#include <utility>

namespace galley::inline v1::io::detail {

void FieldList::add(Field field, const MemberAccess& access) {
  schema.fields.push_back(std::move(field));
  members.push_back(access);
}

Result<void> FieldList::read(void* into, const Reader& reader) const {
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::string& name = schema.fields[i].name;
    const Value* value = reader.value().find(name);
    if (value == nullptr) continue;
    const Path path(reader.path(), name);
    GALLEY_TRY(members[i].read(into, members[i], reader.below(*value, path)));
  }
  return {};
}

std::optional<Value> FieldList::write(const void* from) const {
  Value all = Value::Object();
  for (std::size_t i = 0; i < members.size(); ++i) {
    std::optional<Value> value = members[i].write(from, members[i]);
    if (!value.has_value()) return std::nullopt;
    all.set(schema.fields[i].name, *std::move(value));
  }
  return all;
}

}  // namespace galley::inline v1::io::detail
