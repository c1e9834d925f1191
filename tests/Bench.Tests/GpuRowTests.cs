using System.Text.Json;
using LlamaServe.Bench.Gpu;

namespace LlamaServe.Bench.Tests;

public sealed class GpuRowTests
{
    private static GpuRow Time => new("matmul", "a layer") { Floor = 2e-6, Value = 4e-6, PeerValue = 6e-6 };

    private static GpuRow Rate => new("decode", "a model") { IsRate = true, Floor = 400, Value = 100, PeerValue = 50 };

    [Test]
    public void The_part_of_the_floor_and_the_multiple_of_the_peer_grow_with_speed()
    {
        Assert.That((Time.OfFloor, Time.OursOverPeer), Is.EqualTo(((double?)0.5, (double?)1.5)));
        Assert.That((Rate.OfFloor, Rate.OursOverPeer), Is.EqualTo(((double?)0.25, (double?)2)));
    }

    [Test]
    public void Goals_are_bounds_on_floor_peer_or_value()
    {
        Assert.Multiple(() =>
        {
            Assert.That(Met(Time, GoalOf.Floor, 0.5), Is.True);
            Assert.That(Met(Time, GoalOf.Floor, 0.51), Is.False);
            Assert.That(Met(Time, GoalOf.Peer, 1.6), Is.False);
            Assert.That(Met(Time, GoalOf.Value, 4e-6), Is.True);
            Assert.That(Met(Time, GoalOf.Value, 3e-6), Is.False);
            Assert.That(Met(Rate, GoalOf.Value, 100), Is.True);
            Assert.That(Met(Rate, GoalOf.Value, 101), Is.False);
        });
    }

    [Test]
    public void A_goal_about_what_was_not_measured_is_open_and_one_that_is_missed_decides()
    {
        GpuRow alone = Time with { PeerValue = null };
        Goal peer = new(GoalOf.Peer, 1), reached = new(GoalOf.Floor, 0.1), missed = new(GoalOf.Floor, 0.9);
        Assert.That((alone with { Goals = [reached, peer] }).IsMet, Is.Null);
        Assert.That((alone with { Goals = [peer, missed] }).IsMet, Is.False);
        Assert.That((alone with { Goals = [reached] }).IsMet, Is.True);
        Assert.That((Time with { Value = null, Goals = [reached] }).IsMet, Is.Null);
        Assert.That(Time.IsMet, Is.Null);
    }

    [Test]
    public void A_peers_cases_add_up_and_a_missing_one_leaves_the_row_without()
    {
        GpuRow row = new GpuRow("matmul", "a layer") { Value = 1, PeerCases = ["q", "o"] };
        Assert.That(row.WithPeer(Answers("""{"q": 2, "o": 3}""")).PeerValue, Is.EqualTo(5));
        Assert.That(row.WithPeer(Answers("""{"q": 2}""")).PeerValue, Is.Null);
        GpuRow decode = Rate with { PeerValue = null, PeerCases = ["token"] };
        Assert.That(decode.WithPeer(Answers("""{"token": 0.02}""")).PeerValue, Is.EqualTo(50));
    }

    [Test]
    public void A_peer_that_has_no_room_says_so_in_its_row()
    {
        GpuRow row = new GpuRow("throughput", "70B") { Value = 1, Peer = "transformers", PeerCases = ["token"] };
        row = row.WithPeer(Answers("""{"token": "does not fit"}"""));
        Assert.That((row.Peer, row.PeerValue), Is.EqualTo(("transformers: does not fit", (double?)null)));
    }

    [Test]
    public void The_table_shows_why_a_value_is_missing()
    {
        StringWriter output = new();
        GpuTable.Print(output, [Time with { Goals = [new Goal(GoalOf.Floor, 0.75)] }, new GpuRow("FP8", "a layer") { Note = "not built: none" }]);
        string[] lines = output.ToString().TrimEnd().Split('\n');
        Assert.That(lines[2].Trim(), Is.EqualTo("| matmul | a layer | 2.0 µs | 4.0 µs | 50 % |  | 6.0 µs | 1.50 | ≥ 75 % of floor | NO |"));
        Assert.That(lines[3], Does.Contain("not built: none"));
    }

    [Test]
    public void The_floor_of_a_whole_model_is_its_bytes_or_its_operations()
    {
        GpuModel model = GpuModel.Llama70B;
        ModelCase one = new(model, Kernels.WeightFormat.BF16, 0, Kernels.DType.BF16, 100, 100, 1);
        double bytes = 2.0 * model.MatrixElements + 150 * model.KvTokenBytes(Kernels.DType.BF16);
        GpuLimits slowMemory = new("", 1e12, 1e18, 1e18, null), slowCores = new("", 1e18, 1e15, 1e15, null);
        Assert.That(one.Floor(slowMemory, 1), Is.EqualTo(1e12 / bytes).Within(1e-6).Percent);
        double operations = 2.0 * model.MatrixElements + 2.0 * model.Shape.LayerMultiplyAdds;
        Assert.That((one with { MostPlaces = 64 }).Floor(slowCores, 64), Is.EqualTo(1e15 / operations).Within(1e-6).Percent);
    }

    /// <summary>As peers.py writes them.</summary>
    private static Dictionary<string, PeerSeconds> Answers(string json) =>
        JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(json)!.ToDictionary(each => each.Key, each => PeerSeconds.Of(each.Value));

    private static bool? Met(GpuRow row, GoalOf of, double bound) => new Goal(of, bound).IsMet(row);
}
