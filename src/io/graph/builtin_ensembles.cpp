#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/ensemble.hpp>
#include <src/io/graph/builtin.hpp>

namespace galley::inline v1::io {

Fields<First> Described<First>::fields() {
  return Fields<First>("The earliest member's answer.");
}

Fields<Mean> Described<Mean>::fields() {
  return Fields<Mean>("The mean of the members' numbers.");
}

Fields<WeightedMean> Described<WeightedMean>::fields() {
  return Fields<WeightedMean>("The mean, each member's numbers weighted.")
      .add("weights", &WeightedMean::weights, "One for each member.", {.min = 0});
}

Fields<MajorityVote> Described<MajorityVote>::fields() {
  return Fields<MajorityVote>("The label that most members answer.");
}

Fields<SoftVote> Described<SoftVote>::fields() {
  return Fields<SoftVote>("The mean of the members' distributions over classes.")
      .add("scores", &SoftVote::scores, "What the numbers are.");
}

Fields<EnsembleOptions> Described<EnsembleOptions>::fields() {
  using O = EnsembleOptions;
  return Fields<O>("How an ensemble votes.")
      .add("quorum", &O::quorum, "How many members must answer; 0 is all.", {.max = 256})
      .add("cut_off", &O::cut_off, "When the rest are left out; 0s is at the row's deadline.")
      .add("fork", &O::fork, "Whether members are handed to other threads.");
}

Fields<Stack> Described<Stack>::fields() {
  return Fields<Stack>("The members' answers side by side, for a model over them.");
}

namespace detail {

void add_tensor_ensembles(Registry& registry) {
  add_ensembles<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
