#include <galley/load/report.hpp>

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::load {

namespace {

using Json = nlohmann::ordered_json;  // members stay as they are added; what is not finite is null

Json json(const std::optional<Duration>& duration) {
  return duration ? Json(duration->count()) : Json();
}

Json json(const Summary& summary) {
  return {{"samples", summary.samples}, {"mean", summary.mean.count()},
          {"p50", json(summary.p50)},   {"p90", json(summary.p90)},
          {"p99", json(summary.p99)},   {"p999", json(summary.p999)},
          {"max", summary.max.count()}};
}

Json statuses(const Run& run) {
  Json counts = Json::object();
  for (std::size_t i = 0; i < Run::statuses; ++i) {
    if (run.by_status[i] > 0) counts[to_string(static_cast<Status>(i))] = run.by_status[i];
  }
  return counts;
}

Json json(const Run& run) {
  const bool open = run.loop == Run::Loop::open;
  Json object = {{"loop", open ? "open" : "closed"}};
  if (open) {
    object["offered"] = run.offered;
  } else {
    object["clients"] = run.clients;
  }
  object.update({{"requests", run.requests},
                 {"warm_up", run.warm_up},
                 {"window", run.window.count()},
                 {"throughput", run.throughput()},
                 {"goodput", run.goodput()},
                 {"status", statuses(run)},
                 {"in_time", run.in_time},
                 {"wrong", run.wrong},
                 {"unanswered", run.unanswered},
                 {"latency", json(run.latency)}});
  if (open) {
    object.update({{"lag", json(run.lag)},
                   {"lag_p99", run.lag_p99.count()},
                   {"sending", run.sending.count()},
                   {"generator_cpu", run.generator_cpu.count()},
                   {"generator_share", run.generator_share()}});
  }
  object.update({{"computed_by_sender", run.computed_by_sender},
                 {"verdict", to_string(run.verdict)},
                 {"why", run.why()}});
  return object;
}

Json json(const std::vector<Run>& runs) {
  Json list = Json::array();
  for (const Run& run : runs) list.push_back(json(run));
  return list;
}

Json json(const Machine& machine) {
  return {{"cpu", machine.cpu},
          {"cores", machine.cores},
          {"compiler", machine.compiler},
          {"load", machine.load < 0 ? Json() : Json(machine.load)}};
}

}  // namespace

std::string to_json(const Sweep& sweep) {
  const bool endless = sweep.deadline == Duration::zero();
  Json points = json(sweep.points);
  for (std::size_t i = 0; i < points.size(); ++i) points[i]["share"] = sweep.share(sweep.points[i]);
  const Json object = {{"load", sweep.name},
                       {"machine", json(sweep.machine)},
                       {"arrivals", to_string(sweep.arrivals)},
                       {"seed", sweep.seed},
                       {"deadline", endless ? Json() : Json(sweep.deadline.count())},
                       {"wrong", sweep.wrong()},
                       {"capacity", sweep.capacity.rate},
                       {"capacity_clients", sweep.capacity.clients},
                       {"capacity_again", sweep.again.goodput()},
                       {"capacity_runs", json(sweep.capacity.runs)},
                       {"again", json(sweep.again)},
                       {"points", std::move(points)}};
  // A name that is not UTF-8 is no reason to have no report.
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace galley::inline v1::load
