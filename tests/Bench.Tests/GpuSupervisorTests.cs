using LlamaServe.Bench.Gpu;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests;

/// <summary>Workers that crash, hang or fail, against what is known of their parts then; scripts of a shell stand for them.</summary>
[Platform(Exclude = "Win", Reason = "the workers are scripts of a Unix shell")]
public sealed class GpuSupervisorTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>$0 is the journal.</summary>
    private const string Worker = """
        case $(grep -c begun "$0") in
        0) echo '{"begun":"crash"}' >> "$0"; kill -KILL $$ ;;
        1) echo '{"begun":"hang"}' >> "$0"; exec sleep 600 ;;
        2) printf '{"begun":"fail"}\n{"row":{"kernel":"a kernel","shape":"","note":"FAILED: it was lost"}}\n{"done":"fail"}\n' >> "$0"; exit 3 ;;
        *) printf '{"begun":"last"}\n{"row":{"kernel":"a kernel","shape":"a shape","value":1.5}}\n{"done":"last"}\n' >> "$0" ;;
        esac
        """;

    [Test]
    public void Parts_behind_one_that_crashes_hangs_or_fails_are_measured()
    {
        using TemporaryFolder folder = new();
        GpuJournal journal = new(Path.Combine(folder.Path, "journal"));
        File.WriteAllText(journal.Path, "");
        Assert.That(Supervisor(journal, Worker, TimeSpan.FromMinutes(5)).Run());
        GpuRow[] rows = [.. journal.Notes.Select(note => note.Row).OfType<GpuRow>()];
        Assert.That(rows.Select(row => row.Kernel), Is.EqualTo(new[] { "crash", "hang", "a kernel", "a kernel" }));
        Assert.That(rows[0].Note, Does.StartWith("FAILED: the process ended with "));
        Assert.That(rows[1].Note, Does.StartWith("FAILED: nothing came of it"));
        Assert.That((rows[3].Value, rows[3].Note), Is.EqualTo(((double?)1.5, (string?)null)));
        Assert.That(journal.Open, Is.Null);
    }

    [Test]
    public void A_worker_that_cannot_begin_is_not_started_for_ever()
    {
        using TemporaryFolder folder = new();
        GpuJournal journal = new(Path.Combine(folder.Path, "journal"));
        Assert.That(Supervisor(journal, "exit 1", TimeSpan.FromMinutes(5)).Run(), Is.False);
        Assert.That(journal.Notes, Is.Empty);
    }

    [Test]
    public void What_goes_on_when_the_time_is_over_is_stopped()
    {
        using TemporaryFolder folder = new();
        GpuJournal journal = new(Path.Combine(folder.Path, "journal"));
        journal.Begin("a part");
        Assert.That(Supervisor(journal, "exec sleep 600", TimeSpan.Zero).Run());
        Assert.That(journal.Notes.Select(note => note.Row).OfType<GpuRow>().Single().Note, Is.EqualTo("FAILED: the time is over"));
    }

    [Test]
    public void A_journal_gives_rows_and_peers_back_and_leaves_half_a_line_out()
    {
        using TemporaryFolder folder = new();
        GpuJournal journal = new(Path.Combine(folder.Path, "journal"));
        GpuRow row = new("matmul", "a layer") { Floor = 1, Value = double.PositiveInfinity, PeerCases = ["q"], Goals = [new Goal(GoalOf.Peer, 0.9)], IsDetail = true };
        journal.Begin("products");
        journal.Add(row);
        journal.Add(PeerCase.Product("int_mm", 1, 2, 3));
        File.AppendAllText(journal.Path, "{\"done\":\"prod");
        GpuRow read = journal.Notes[1].Row!;
        Assert.That((read.Kernel, read.Floor, read.Value, read.IsDetail), Is.EqualTo((row.Kernel, row.Floor, row.Value, true)));
        Assert.That(read.PeerCases, Is.EqualTo(row.PeerCases));
        Assert.That(read.Goals, Is.EqualTo(row.Goals));
        Assert.That(journal.Notes[2].Peer!.Arguments["k"], Is.EqualTo(3));
        Assert.That(journal.Open, Is.EqualTo("products"));
        Assert.That(journal.HasFailures, Is.False);
        journal.Add(row with { Note = "FAILED: it was lost" });
        Assert.That(journal.HasFailures);
    }

    private static GpuSupervisor Supervisor(GpuJournal journal, string script, TimeSpan time) =>
        new("/bin/sh", () => ["-c", script, journal.Path], journal, Patience, new GpuDeadline(time));
}
