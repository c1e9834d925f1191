using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class VerifyDraftTests(string backendName) : OpTests(backendName)
{
    private const int Vocabulary = 12;

    /// <summary>A language model: the logits behind a token, whatever came before it.</summary>
    private static readonly float[][] Model = [.. Enumerable.Range(0, Vocabulary).Select(i => Uniform(new Random(i), Vocabulary, 2))];

    [Test]
    public void Drafts_change_no_token([Values(0f, 1f)] float temperature, [Values] bool penalties, [Values] bool trees)
    {
        SamplingRow row = new()
        {
            Temperature = temperature,
            TopP = 0.95f,
            RepetitionPenalty = penalties ? 1.3f : 1,
            FrequencyPenalty = penalties ? 0.4f : 0,
            PresencePenalty = penalties ? 0.2f : 0,
            TargetId = -1,
            PromptLength = 2,
        };
        int[] prompt = [3, 7];
        int accepted = 0;
        for (ulong seed = 0; seed < (ulong)Times(20, onCuda: 3); seed++)
        {
            int[] plain = Plain(prompt, row with { Seed = seed }, 12);
            List<int> tokens = [.. prompt];
            while (tokens.Count < plain.Length)
            {
                accepted += Step(tokens, row with { Seed = seed }, plain, trees, new Random(tokens.Count + 100 * (int)seed));
            }
            Assert.That(tokens.Take(plain.Length), Is.EqualTo(plain), $"seed {seed}");
        }
        Assert.That(accepted, Is.Positive);
    }

    [Test]
    public void Walks_agree_with_a_search_of_the_tree()
    {
        Random random = new(5);
        const int Sequences = 9;
        for (int trial = 0; trial < Times(30, onCuda: 4); trial++)
        {
            DraftBatch drafts = new(Sequences, 400);
            List<(int[] Ids, ulong[] Tree, int First)> all = [];
            int rows = 0;
            for (int s = 0; s < Sequences; s++)
            {
                int count = s == 0 ? 64 : s == 1 ? 0 : random.Next(40);
                ulong[] tree = DraftTree.Random(count, random.Next());
                int[] ids = [.. Enumerable.Range(0, count).Select(_ => random.Next(3))];
                drafts.Add(rows, ids, tree);
                all.Add((ids, tree, rows));
                rows += 1 + count;
            }
            int[] chosen = Verify(drafts, rows, random);
            for (int s = 0; s < Sequences; s++)
            {
                (int[] path, int next) = Walk(all[s].Ids, all[s].Tree, chosen.AsSpan(all[s].First, all[s].Ids.Length + 1));
                Assert.That(drafts.Accepted(s).ToArray(), Is.EqualTo(path));
                Assert.That(drafts.NextId(s), Is.EqualTo(next));
            }
        }
    }

    [Test]
    public void Long_chains_are_accepted_to_their_end()
    {
        DraftBatch drafts = new(2, 128);
        int[] ids = [.. Enumerable.Range(0, 64).Select(i => i % 3)];
        drafts.Add(0, ids, []);
        drafts.Add(65, [1, .. ids[1..]], []);
        int[] chosen = [.. ids, 2, .. ids, 2];
        SampleChosen(drafts, chosen);
        Assert.That((drafts.AcceptedCount(0), drafts.NextId(0)), Is.EqualTo((64, 2)));
        Assert.That((drafts.AcceptedCount(1), drafts.NextId(1)), Is.EqualTo((0, 0)));
    }

    [Test]
    public void A_row_of_NaN_ends_the_walk()
    {
        DraftBatch drafts = new(1, 2);
        drafts.Add(0, [1, 2], []);
        SamplingBatch batch = new(3) { Drafts = drafts };
        float[] logits = new float[9];
        logits[1] = 1;
        logits[3] = float.NaN;
        FillGreedy(batch, 3);
        Backend.Sample(Upload(logits, 3, 3), batch);
        Assert.That((drafts.AcceptedCount(0), drafts.NextId(0)), Is.EqualTo((1, -1)));
    }

    [Test]
    public void Drafts_without_rows_are_refused()
    {
        DraftBatch drafts = new(1, 3);
        drafts.Add(1, [1, 2, 3], []);
        SamplingBatch batch = new(4) { Drafts = drafts };
        FillGreedy(batch, 4);
        Assert.That(() => Backend.Sample(Upload(new float[12], 4, 3), batch), Throws.ArgumentException.With.Message.Contains("3 drafts"));
    }

    /// <summary>What the same seeds give without drafts, prompt included.</summary>
    private int[] Plain(int[] prompt, SamplingRow row, int count)
    {
        List<int> tokens = [.. prompt];
        for (int i = 0; i < count; i++)
        {
            SamplingBatch batch = new(1);
            batch.Add(row with { Tokens = tokens.ToArray(), Counter = (ulong)i });
            Backend.Sample(Upload(Model[tokens[^1]], 1, Vocabulary), batch);
            tokens.Add(batch.TokenIds[0]);
        }
        return [.. tokens];
    }

    /// <summary>One step with drafts of which some are right.</summary>
    /// <returns>How many were accepted.</returns>
    private int Step(List<int> tokens, SamplingRow row, int[] plain, bool tree, Random random)
    {
        int count = 6, prompt = row.PromptLength;
        int[] parents = [.. Enumerable.Range(0, count).Select(i => tree ? random.Next(-1, i) : i - 1)];
        ulong[] ancestors = DraftTree.Of(parents);
        int[] ids = [.. ancestors.Select(mask => tokens.Count + DraftTree.Depth(mask) is int place && place < plain.Length && random.Next(3) > 0
            ? plain[place] : random.Next(Vocabulary))];
        SamplingBatch batch = new(count + 1);
        batch.Add(row with { Tokens = tokens.ToArray(), Counter = (ulong)(tokens.Count - prompt) });
        List<float> logits = [.. Model[tokens[^1]]];
        for (int i = 0; i < count; i++)
        {
            int[] path = [.. Enumerable.Range(0, count).Where(j => (ancestors[i] >> j & 1) != 0).Select(j => ids[j])];
            batch.Add(row with { Tokens = tokens.ToArray(), DraftTokens = path, Counter = (ulong)(tokens.Count - prompt + path.Length) });
            logits.AddRange(Model[ids[i]]);
        }
        DraftBatch drafts = new(1, count);
        drafts.Add(0, ids, tree ? ancestors : []);
        batch.Drafts = drafts;
        Backend.Sample(Upload([.. logits], count + 1, Vocabulary), batch);
        tokens.AddRange(drafts.Accepted(0).ToArray().Select(draft => ids[draft]));
        tokens.Add(drafts.NextId(0));
        return drafts.AcceptedCount(0);
    }

    /// <summary>Rows whose largest logits are random ids.</summary>
    private int[] Verify(DraftBatch drafts, int rows, Random random)
    {
        int[] chosen = [.. Enumerable.Range(0, rows).Select(_ => random.Next(3))];
        SampleChosen(drafts, chosen);
        return chosen;
    }

    private void SampleChosen(DraftBatch drafts, int[] chosen)
    {
        float[] logits = new float[3 * chosen.Length];
        for (int i = 0; i < chosen.Length; i++)
        {
            logits[3 * i + chosen[i]] = 1;
        }
        SamplingBatch batch = new(chosen.Length) { Drafts = drafts };
        FillGreedy(batch, chosen.Length);
        Backend.Sample(Upload(logits, chosen.Length, 3), batch);
        Assert.That(batch.TokenIds.ToArray(), Is.EqualTo(chosen));
    }

    private static void FillGreedy(SamplingBatch batch, int rows)
    {
        for (int i = 0; i < rows; i++)
        {
            batch.Add(new SamplingRow { TopP = 1, RepetitionPenalty = 1, TargetId = -1 });
        }
    }

    /// <param name="chosen">[1 + drafts] the id behind the committed token, then behind each draft.</param>
    private static (int[] Path, int Next) Walk(int[] ids, ulong[] tree, ReadOnlySpan<int> chosen)
    {
        List<int> path = [];
        ulong above = 0;
        int next = chosen[0];
        for (int i = 0; i < ids.Length; i++)
        {
            if (tree[i] == (above | 1UL << i) && ids[i] == next)
            {
                path.Add(i);
                (above, next) = (tree[i], chosen[1 + i]);
            }
        }
        return ([.. path], next);
    }
}
