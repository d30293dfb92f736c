#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/support.hpp>
#include <galley/io/registry.hpp>
#include <galley/io/schema.hpp>

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
  add_policy<AnyBatchPolicy, LearnedCap>("learned_cap");
  add_policy<AnyBatchPolicy, SizeOrDelay>("size_or_delay");
  add_policy<AnyBatchPolicy, io::PreferredSizesPolicy>("preferred_sizes");
  support<Tensor, Tensor>();
}

void io::detail::Support<Tensor, Tensor>::add(Registry& registry) {
  add_all_kinds<Tensor, Tensor>(registry);
}

}  // namespace galley::inline v1
