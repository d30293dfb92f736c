// Business logic: bad orders are answered at once, large ones go to an expert, the others to a
// model and its canary, and what they predict is checked.
#include <galley/compose/filter.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/route.hpp>
#include <galley/policy/check/in_range.hpp>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace {

struct Order {
  double total = 0;
  double weight = 0;
};

auto model(const char* name, double rate) {
  return galley::map(name, [rate](const Order& order) { return rate * order.weight; });
}

}  // namespace

int main() {
  // A user stays with the model or with its canary, which one in twenty gets.
  const auto rollout =
      galley::route(galley::sticky({0.95, 0.05}, {.salt = galley::hash_of("v2 of May")}),
                    {model("v1", 1.0), model("v2", 1.1)}, {.name = "rollout"});
  const auto by_size =
      galley::route([](const Order& order) { return order.total > 1000 ? "expert" : "rollout"; },
                    {rollout, model("expert", 0.5)}, {.name = "by_size"});
  const auto sane =
      galley::filter([](const Order& order, double cost) { return cost <= order.total; }, by_size);
  const auto shipping = galley::guard(
      galley::all_of(galley::field("total", &Order::total, galley::in_range(0, 1e6)),
                     galley::field("weight", &Order::weight, galley::in_range(0, 500))),
      sane);

  // One batch: a bad row fails alone, and the others come back in order.
  const galley::Rows<Order> orders{{50, 10}, {2000, 40}, {20, std::nan("")}, {5, 30}};
  const std::vector<galley::Key> users{1, 2, 3, 4};
  const auto costs = shipping.serve_rows(orders, {}, {.keys = users});
  for (std::size_t i = 0; i < costs.size(); ++i) {
    std::printf("%s\n", costs[i].has_value() ? std::to_string(std::lround(*costs[i])).c_str()
                                             : galley::to_string(costs[i].error()).c_str());
  }

  // The canary is widened while it serves: nobody goes back to v1.
  std::size_t back = 0;
  std::vector<double> before(1000);
  for (const double share : {0.05, 0.2, 0.5}) {
    galley::SetWeights weights{{1 - share, share}};
    if (!shipping.control("filter(by_size)/by_size/rollout", weights).has_value()) return 1;
    std::size_t second = 0;
    for (galley::Key user = 0; user < before.size(); ++user) {
      const double now = *shipping.serve(Order{100, 10}, {}, {.keys = {&user, 1}});
      back += now < before[user] ? 1 : 0;
      second += now > 10 ? 1 : 0;
      before[user] = now;
    }
    std::printf("share %g: %zu of 1000 users, %zu went back\n", share, second, back);
  }
  return back == 0 ? 0 : 1;
}

// prints:
// 10
// 20
// invalid_argument: guard(filter(by_size)): input: weight: expected a number in [0, 500], got nan
// unavailable: filter(by_size): the prediction was rejected
// share 0.05: 53 of 1000 users, 0 went back
// share 0.2: 214 of 1000 users, 0 went back
// share 0.5: 510 of 1000 users, 0 went back
