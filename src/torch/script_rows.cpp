#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/script_rows.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace galley::inline v1::detail {

namespace {

bool holds_nothing(const c10::IValue& value) {
  return value.isNone() || (value.isGenericDict() && value.toGenericDict().empty());
}

// Where in a tuple the only list is, beside what holds nothing.
std::optional<std::size_t> place_of_list(const c10::IValue& tuple) {
  const auto& elements = tuple.toTupleRef().elements();
  std::optional<std::size_t> place;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (holds_nothing(elements[i])) continue;
    if (!elements[i].isList() || place.has_value()) return std::nullopt;
    place = i;
  }
  return place;
}

}  // namespace

std::optional<ScriptRows> ScriptRows::in(const c10::IValue& answer, std::size_t rows,
                                         std::span<const TensorSpec> declared) {
  ScriptRows found;
  if (answer.isTuple()) found.place_ = place_of_list(answer);
  if (!answer.isList() && !found.place_.has_value()) return std::nullopt;
  found.row_ = ScriptOutputs::in(found.list_in(answer, rows)[0], declared);
  return found;
}

c10::ArrayRef<c10::IValue> ScriptRows::list_in(const c10::IValue& answer, std::size_t rows) const {
  const c10::IValue* value = &answer;
  if (place_.has_value()) {
    const bool has_place = answer.isTuple() && answer.toTupleRef().elements().size() > *place_;
    if (!has_place) throw std::runtime_error("gives " + answer.tagKind() + ", expected a tuple");
    value = &answer.toTupleRef().elements()[*place_];
  }
  if (!value->isList()) throw std::runtime_error("gives " + value->tagKind() + ", expected a list");
  const auto list = value->toListRef();
  if (list.size() != rows) {
    throw std::runtime_error(text({"gives a list of ", std::to_string(list.size()), " for ",
                                   std::to_string(rows), " rows, expected an element for each"}));
  }
  return list;
}

void ScriptRows::unpack(c10::IValue answer, std::size_t rows, Tensors& outputs) const {
  const auto list = list_in(answer, rows);
  const std::size_t first = outputs.size();
  outputs.resize(first + names().size() * rows);
  Tensors of_row;
  for (std::size_t row = 0; row < rows; ++row) {
    of_row.clear();
    row_.unpack(list[row], of_row);
    check_output_count(of_row.size(), names().size());
    for (std::size_t i = 0; i < of_row.size(); ++i) {
      outputs[first + i * rows + row] = std::move(of_row[i]);
    }
  }
}

}  // namespace galley::inline v1::detail
