#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/route.hpp>
#include <src/io/graph/builtin.hpp>

#include <optional>
#include <span>
#include <vector>

namespace galley::inline v1::io {

namespace {

using WeightList = Codec<std::vector<double>>;

constexpr const char* weights_doc = "How much each arm gets; only ratios count.";
constexpr Limits weights_limits{.min = 0, .min_items = 1, .max_items = RouteWeights::max_arms};

}  // namespace

Schema Codec<RouteWeights>::schema() {
  Schema schema = WeightList::schema();
  limit(schema, {.min = 0, .max_items = RouteWeights::max_arms});
  return schema;
}

Result<RouteWeights> Codec<RouteWeights>::read(const Reader& reader) {
  GALLEY_TRY(const std::vector<double> weights, WeightList::read(reader));
  return RouteWeights(std::span<const double>(weights));
}

std::optional<Value> Codec<RouteWeights>::write(const RouteWeights& from) {
  return WeightList::write({from.span().begin(), from.span().end()});
}

Fields<Always> Described<Always>::fields() {
  return Fields<Always>("Every row goes to one arm.")
      .add("arm", &Always::arm, "Its number, from 0.", {.max = 255});
}

Fields<ByWeightPolicy> ByWeightPolicy::fields() {
  return Fields<ByWeightPolicy>("Rows are split at random.")
      .add("weights", &ByWeightPolicy::weights, weights_doc, weights_limits);
}

Fields<StickyPolicy> StickyPolicy::fields() {
  using P = StickyPolicy;
  return Fields<P>("Keys are split; all rows of a key go one way.")
      .add("weights", &P::weights, weights_doc, weights_limits)
      .add("salt", &P::salt, "Splits of different salts have nothing to do with each other.")
      .add("keyless", &P::keyless, "What becomes of rows without a key.");
}

Fields<ByContextPolicy> ByContextPolicy::fields() {
  using P = ByContextPolicy;
  return Fields<P>("As another policy, by weights that depend on the request.")
      .add("weights_for", &P::weights_for, "What gives the weights.")
      .add("then", &P::then, "What goes by them, its own put aside; by default by_weight.");
}

Fields<RouteOptions> Described<RouteOptions>::fields() {
  using O = RouteOptions;
  return Fields<O>("How a route is called and drawn for.")
      .add("name", &O::name, "What it is called; by default after its arms.", {.max_items = 128})
      .add("labels", &O::labels, "What its arms are called; by default as they are.",
           {.max_items = 256})
      .add("seed", &O::seed, "What random splits are drawn from.");
}

namespace detail {

void add_tensor_routes(Registry& registry) {
  registry.add_policy<AnyRoute, Always>("always");
  registry.add_policy<AnyRoute, ByWeightPolicy>("by_weight");
  registry.add_policy<AnyRoute, StickyPolicy>("sticky");
  registry.add_policy<AnyRoute, ByContextPolicy>("by_context");
  add_routes<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
