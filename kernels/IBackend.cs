namespace LlamaServe.Kernels;

// Path 9/9: the seam. Everything above is written once for all devices; everything below is per device.

/// <summary>
/// The operations of a decoder on one device. Each checks shapes on entry and throws <see cref="ArgumentException"/>; inner
/// loops check nothing. Results live in the step arena until <see cref="ResetStep"/> or the second <see cref="BeginLayer"/>
/// after them; equal shapes in equal order get equal addresses. Used by one thread at a time.
/// <para>Batch invariance: a row of a result depends on that row's inputs alone, bit for bit, never on how many other rows
/// share the call or on how a sequence was cut into steps.</para>
/// </summary>
public interface IBackend : IDisposable
{
    /// <summary>Device and kernel flavour, for people: "cpu (avx512-vnni, 2 threads)".</summary>
    string Description { get; }

    /// <summary>Bytes that are free for weights and KV cache now.</summary>
    long AvailableBytes { get; }

    /// <summary>
    /// Bytes of <see cref="AvailableBytes"/> that a KV cache takes where nothing is said: half of a host's, which others use too; of a
    /// device's, nearly all.
    /// </summary>
    long DefaultCacheBytes { get; }

    /// <summary>Loads a matrix for <see cref="Linear"/>: the parts' rows stacked, e.g. q, k and v; formats may differ.</summary>
    /// <param name="parts">Matrices of equal column count.</param>
    Weight LoadLinear(ReadOnlySpan<WeightData> parts);

    /// <summary>Loads the two matrices of <see cref="GatedLinear"/>, each of parts whose rows are stacked.</summary>
    /// <param name="gateParts">Matrices of equal column count.</param>
    /// <param name="upParts">As many rows and columns as the gate.</param>
    /// <returns>Rows and columns are those of one of the two.</returns>
    Weight LoadGatedLinear(ReadOnlySpan<WeightData> gateParts, ReadOnlySpan<WeightData> upParts);

    /// <summary>Loads the matrices of a layer's experts for <see cref="ExpertLinear"/> and <see cref="CombineExperts"/>.</summary>
    /// <param name="parts">For each expert as many matrices, rows stacked: gate and up of the first, gate and up of the second, ….
    /// All experts have equal shapes and formats.</param>
    /// <returns>Rows and columns are those of one expert.</returns>
    Weight LoadExperts(ReadOnlySpan<WeightData> parts, int experts);

    /// <summary>Loads a table that serves <see cref="Embed"/> and, when <paramref name="alsoLinear"/>, <see cref="Linear"/> (tied embeddings).</summary>
    Weight LoadEmbedding(WeightData table, bool alsoLinear);

    /// <summary>Loads a vector (norm gain, bias) as F32: the parts one after the other.</summary>
    Weight LoadVector(ReadOnlySpan<WeightData> parts);

    /// <summary>Makes a cache, with undefined content.</summary>
    /// <exception cref="ArgumentException">The backend has no such caches, or the host lacks memory for the host part.</exception>
    KvCache CreateKvCache(KvCacheShape shape);

    /// <summary>Prepares for steps of up to this size, so that a step itself allocates nothing.</summary>
    /// <param name="maxTokens">Most token rows.</param>
    /// <param name="maxColumns">Widest activation.</param>
    /// <param name="maxLogitsRows">Most rows of logits.</param>
    /// <param name="vocabularySize">Columns of the logits.</param>
    void Reserve(int maxTokens, int maxColumns, int maxLogitsRows, int vocabularySize);

    /// <summary>Gives back everything that the last step's operations returned.</summary>
    void ResetStep();

    /// <summary>
    /// Runs a step's operations. A backend may record them and play the record for a later batch of the same shape, without calling
    /// <paramref name="forward"/> again: it does nothing but operations of this backend, and they depend on the batch alone.
    /// </summary>
    /// <param name="batch">What <paramref name="forward"/> computes; the same object each time.</param>
    /// <param name="forward">Returns [batch.LogitsCount, vocabulary]; the same delegate each time.</param>
    /// <returns>What <paramref name="forward"/> returned, or returns.</returns>
    Tensor Run(ForwardBatch batch, Func<Tensor> forward);

    /// <summary>
    /// Begins a layer: results from before the previous call are given back, so that a step needs the memory of two layers and
    /// not of all. What a layer returns can be read through the whole next layer. A model that never calls it keeps everything.
    /// </summary>
    void BeginLayer();

    /// <summary>Hidden rows of the batch's tokens, those included that the step under way chooses: [TokenCount, table.Columns].</summary>
    Tensor Embed(ForwardBatch batch, Weight table);

    /// <summary>x / √(mean(x²) + ε) · gain, row by row (arXiv:1910.07467): [x.Rows, x.Columns].</summary>
    Tensor RmsNorm(Tensor x, Weight gain, float epsilon);

    /// <summary>x · Wᵀ (+ bias) (+ residual): [x.Rows, weight.Rows].</summary>
    /// <param name="residual">[x.Rows, weight.Rows]; may be null.</param>
    Tensor Linear(Tensor x, Weight weight, Weight? bias = null, Tensor? residual = null);

    /// <summary>
    /// Rotates q and k of fused q|k|v rows in place, after the per-head RmsNorms where given (Qwen3), and writes k and v to the
    /// batch's slots of <paramref name="layer"/>.
    /// </summary>
    /// <param name="qkv">[TokenCount, shape.QkvColumns].</param>
    void RopeAndStoreKv(Tensor qkv, ForwardBatch batch, AttentionShape shape, RopeParameters rope, KvCache cache, int layer, HeadNorms? norms = null);

    /// <summary>
    /// Causal attention of the q part of fused rows over the cached context, through block tables; prefill, decode, mixed batches
    /// and trees of drafts alike, none deeper than a sliding window: [TokenCount, shape.OutputColumns].
    /// </summary>
    Tensor PagedAttention(Tensor qkv, ForwardBatch batch, AttentionShape shape, KvCache cache, int layer);

    /// <summary>silu(x · gateᵀ) · (x · upᵀ) (arXiv:2002.05202): [x.Rows, weight.Rows].</summary>
    /// <param name="weight">From <see cref="LoadGatedLinear"/>.</param>
    Tensor GatedLinear(Tensor x, Weight weight);

    /// <summary>silu(gate) · up of fused gate|up rows (arXiv:2002.05202): [x.Rows, x.Columns / 2].</summary>
    Tensor GatedActivation(Tensor gateUp);

    /// <summary>
    /// Chooses the experts of each row: softmax over x · routerᵀ in F32, the <paramref name="expertsPerToken"/> largest, of equal
    /// ones the lower id (arXiv:1701.06538, arXiv:2401.04088). What was chosen stays on the device.
    /// </summary>
    /// <param name="router">[experts, x.Columns], from <see cref="LoadLinear"/>.</param>
    /// <param name="renormalize">Whether the weights of a row's experts are divided by their sum.</param>
    ExpertRouting Route(Tensor x, Weight router, int expertsPerToken, bool renormalize);

    /// <summary>x · Wᵀ for each row with each of its experts, ordered by expert, then by row: [routing.Assignments, experts.Rows].</summary>
    /// <param name="x">[routing.Tokens, experts.Columns].</param>
    Tensor ExpertLinear(Tensor x, Weight experts, ExpertRouting routing);

    /// <summary>
    /// residual + Σ weight · (x · Wᵀ) over each token's experts, summed in the order of their weights, largest first:
    /// [routing.Tokens, experts.Rows].
    /// </summary>
    /// <param name="x">[routing.Assignments, experts.Columns], in <see cref="ExpertLinear"/>'s order.</param>
    /// <param name="residual">[routing.Tokens, experts.Rows].</param>
    Tensor CombineExperts(Tensor x, Weight experts, ExpertRouting routing, Tensor residual);

    /// <summary>The batch's <see cref="ForwardBatch.LogitsRows"/> of x: [LogitsCount, x.Columns].</summary>
    Tensor GatherRows(Tensor x, ForwardBatch batch);

    /// <summary>
    /// Whether <see cref="StartSample"/> returns before its results are there, so that the host can start a second step meanwhile. That
    /// step names a token which the first one chooses as ~row, row by row of the first one's samples: where an id of its
    /// <see cref="ForwardBatch.TokenIds"/> is negative, and at the end of <see cref="SamplingRow.Tokens"/>.
    /// </summary>
    bool Overlaps { get; }

    /// <summary>Starts to choose (or score) a token for each row of logits and to verify <see cref="SamplingBatch.Drafts"/>; the step's last operation.
    /// At most two steps are under way, and one where it has drafts.</summary>
    /// <param name="logits">[batch.Count, vocabulary].</param>
    /// <param name="batch">Its results mean nothing before <see cref="FinishSample"/>.</param>
    void StartSample(Tensor logits, SamplingBatch batch);

    /// <summary>Waits until the oldest step under way is done, and fills in its results.</summary>
    /// <param name="batch">The one that it was started with.</param>
    void FinishSample(SamplingBatch batch);

    /// <summary>
    /// Moves the keys and values of accepted drafts to the slots right behind the committed token's, in all layers. A chain's lie there.
    /// </summary>
    /// <param name="batch">What computed them; its rows of logits are those of <paramref name="drafts"/>.</param>
    /// <param name="drafts">Verified by the step that was finished last.</param>
    void CompactDrafts(KvCache cache, ForwardBatch batch, DraftBatch drafts);

    /// <summary>Copies whole blocks in all layers, in order.</summary>
    void CopyBlocks(KvCache cache, ReadOnlySpan<BlockCopy> copies);

    /// <summary>
    /// Copies whole blocks in all layers, with their scales, between the cache and its host part, bits unchanged: in order, each as if
    /// the one before it were done; after all that earlier operations write, before anything that later ones read or write. Called
    /// outside of <see cref="Run"/>, a step's before its <see cref="CopyBlocks"/>.
    /// </summary>
    /// <exception cref="ArgumentException">A block is not there, or the cache has no host part; then nothing is copied.</exception>
    void SwapBlocks(KvCache cache, ReadOnlySpan<BlockSwap> swaps);
}

/// <summary>Per-head RmsNorm gains of queries and keys (Qwen3), each [1, HeadDim].</summary>
public sealed record HeadNorms(Weight Query, Weight Key, float Epsilon);
