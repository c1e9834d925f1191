namespace LlamaServe.Bench.Gpu;

/// <summary>
/// Correctness first, then every row of the table: what <c>gpu</c> does. docs/gpu.md says what each row is. Rows are measured by
/// workers; this process never touches the device, so the table comes whatever becomes of them.
/// </summary>
internal sealed class GpuRun(GpuOptions options)
{
    /// <summary>How long a part may be silent: the largest model is loaded, filled and measured in less.</summary>
    private static readonly TimeSpan PartPatience = TimeSpan.FromMinutes(3);

    private static readonly TimeSpan PeerPatience = TimeSpan.FromMinutes(2.5);

    /// <summary>Of one program of tests, on a GPU.</summary>
    private static readonly TimeSpan TestPatience = TimeSpan.FromMinutes(2);

    /// <summary>What the kernels behind the models are left of the time.</summary>
    private static readonly TimeSpan OthersTime = TimeSpan.FromMinutes(1);

    /// <summary>How much longer than the time limit a part may go on that was begun within it.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(40);

    private readonly GpuDeadline _deadline = new(options.TimeLimit), _end = new(options.TimeLimit + Grace);
    private readonly GpuJournal _journal = new(Path.Combine(options.Output, "gpu-journal.jsonl"));
    private readonly Dictionary<string, PeerSeconds> _peerSeconds = [];

    /// <summary>Whether the device computed everything right. Goals that are missed do not count: the table has them.</summary>
    public bool Run()
    {
        Directory.CreateDirectory(options.Output);
        File.Delete(_journal.Path);
        bool isCorrect = !options.Stages.Contains(GpuStage.Tests) || TestRun.Run(options, options.IsEmulated ? Timeout.InfiniteTimeSpan : TestPatience);
        Say($"correctness {(isCorrect ? "done" : "FAILED")}");
        foreach (GpuStage stage in options.Stages.Where(stage => stage != GpuStage.Tests).Order())
        {
            if (stage == GpuStage.Peers)
            {
                foreach (PeerCase peer in (options.Tiny ? ModelCases.Tiny : ModelCases.All).Select(ModelPeers.Of).OfType<PeerCase>())
                {
                    _journal.Add(peer);
                }
                MeasurePeers();
            }
            else
            {
                isCorrect &= Supervise(stage);
            }
            Save();
            Say($"{stage}");
        }
        if (options.Stages.Contains(GpuStage.Peers) && options.Stages.Contains(GpuStage.Others))
        {
            MeasurePeers();
        }
        string path = Save();
        GpuTable.Print(Console.Out, Rows.Where(row => !row.IsDetail));
        Console.WriteLine($"{Limits?.ToString() ?? "NO LIMITS WERE MEASURED"}. Every row: {path}");
        return isCorrect;
    }

    private GpuLimits? Limits => _journal.Notes.Select(note => note.Limits).FirstOrDefault(limits => limits is not null);

    private IEnumerable<GpuRow> Rows => _journal.Notes.Select(note => note.Row).OfType<GpuRow>().Select(row => row.WithPeer(_peerSeconds));

    private bool Supervise(GpuStage stage)
    {
        TimeSpan reserve = stage == GpuStage.Models && options.Stages.Contains(GpuStage.Others) ? OthersTime : TimeSpan.Zero;
        return new GpuSupervisor(
            Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "LlamaServe.Bench.exe" : "LlamaServe.Bench"),
            () => options.WorkerArguments(stage, _journal.Path, _deadline.Left > reserve ? _deadline.Left - reserve : TimeSpan.Zero),
            _journal, PartPatience, _end).Run();
    }

    /// <summary>Of the cases that have no seconds yet.</summary>
    private void MeasurePeers()
    {
        PeerCase[] missing = [.. _journal.Notes.Select(note => note.Peer).OfType<PeerCase>().DistinctBy(peer => peer.Id).Where(peer => !_peerSeconds.ContainsKey(peer.Id))];
        TimeSpan patience = _deadline.Left < 2 * PeerPatience ? _deadline.Left / 2 : PeerPatience;
        if (missing.Length == 0 || patience == TimeSpan.Zero)
        {
            return;
        }
        IReadOnlyDictionary<string, PeerSeconds> seconds = PeerProcess.Run(options, missing, patience);
        foreach ((string id, PeerSeconds value) in seconds)
        {
            _peerSeconds[id] = value;
        }
        Say($"{seconds.Count} of {missing.Length} cases of peers");
    }

    private string Save() => ResultFile.Write(options.Output, "gpu", null, new { Limits, PeerSeconds = _peerSeconds, Rows });

    private void Say(string what) => Console.WriteLine($"[{_deadline.Passed.TotalSeconds,4:F0} s] {what}");
}
