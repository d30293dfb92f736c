#include <galley/core/tensor_rows.hpp>
#include <galley/io/registry.hpp>
#include <galley/io/schema.hpp>
#include <src/io/graph/builtin.hpp>

#include <utility>

namespace galley::inline v1 {

namespace {

io::Schema pipeline_schema() {
  io::Schema stages(io::Schema::Type::list);
  stages.min_items = 1;
  stages.max_items = 256;
  stages.element.emplace_back(io::Schema::Type::servable);
  io::Schema schema;
  schema.doc = "One stage after the other; rows that fail in one skip the rest.";
  schema.fields.push_back({.name = "stages",
                           .schema = std::move(stages),
                           .required = true,
                           .otherwise = {},
                           .doc = "The stages, in order."});
  return schema;
}

}  // namespace

Registry::Registry() {
  contents_.kinds.insert({"pipeline", {.schema = pipeline_schema(), .overloads = {}}});
  support<Tensor, Tensor>();
}

void io::detail::Support<Tensor, Tensor>::add(Registry& registry) {
  add_tensor_basics(registry);
  add_tensor_batched(registry);
  add_tensor_chains(registry);
  add_tensor_checks(registry);
  add_tensor_ensembles(registry);
  add_tensor_failures(registry);
  add_tensor_lateness(registry);
  add_tensor_padded(registry);
  add_tensor_routes(registry);
  add_tensor_shadows(registry);
  add_stateful(registry);
}

}  // namespace galley::inline v1
