using static TorchSharp.torch;

namespace LlamaServe.Bench.Training;

/// <summary>The resumable state of a training in its folder, and the request to finish that may be put there.</summary>
internal sealed class TrainingCheckpoint(string folder, TorchLlama model, MuonOptimizer optimizer)
{
    private readonly string _state = Path.Combine(folder, "state.bin");
    private readonly string _finish = Path.Combine(folder, "finish");

    public bool IsFinishRequested => File.Exists(_finish);

    /// <summary>Replaces the stored state at once: a reader sees the old one or the new one.</summary>
    public void Save(int step, int cooldownStart)
    {
        Directory.CreateDirectory(folder);
        string aside = _state + ".new";
        using (var writer = new BinaryWriter(File.Create(aside)))
        {
            writer.Write(step);
            writer.Write(cooldownStart);
            foreach (Tensor tensor in Tensors())
            {
                using Tensor detached = tensor.detach();
                writer.Write(detached.bytes);
            }
        }
        File.Move(aside, _state, overwrite: true);
    }

    /// <returns>The steps done and the cooldown's first step, or null where nothing is stored yet.</returns>
    /// <exception cref="InvalidDataException">The state is of another shape.</exception>
    public (int Step, int CooldownStart)? TryRestore()
    {
        if (!File.Exists(_state))
        {
            return null;
        }
        using var reader = new BinaryReader(File.OpenRead(_state));
        (int Step, int CooldownStart) progress = (reader.ReadInt32(), reader.ReadInt32());
        long expected = reader.BaseStream.Position + Tensors().Sum(tensor => tensor.numel() * sizeof(float));
        if (reader.BaseStream.Length != expected)
        {
            throw new InvalidDataException($"The checkpoint in {folder} has {reader.BaseStream.Length} bytes, not {expected}.");
        }
        foreach (Tensor tensor in Tensors())
        {
            using Tensor detached = tensor.detach();
            detached.bytes = reader.ReadBytes((int)tensor.numel() * sizeof(float));
        }
        return progress;
    }

    /// <summary>Forgets the state, after the training is over.</summary>
    public void Clear()
    {
        File.Delete(_state);
        File.Delete(_finish);
    }

    private IEnumerable<Tensor> Tensors() =>
        model.Parameters.Values.Concat(optimizer.State.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => pair.Value));
}
