import sys, time, json, torch, torch.nn.functional as F
import caufvae_lite as cl
from torch.func import functional_call
from caufvae_lite.studies import digits as D, scoreboard
from caufvae_lite.studies.judge import judge_of
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.metrics import mae, psnr, r2
from caufvae_lite.data import as_float
torch.set_num_threads(1)
class CT(CauFVAE):
    weight=0.0; own=True; mixed=0.0
    def row_terms(self, images, factors, draws):
        terms=super().row_terms(images,factors,draws)
        if self.weight>0:
            d=len(self.graph); pics=self.prepared(images); labels=self.standardise(factors,len(pics))
            with torch.no_grad():
                style=self.posterior(pics).mean[:,d:]
            asked=labels.clone(); seen=0
            groups={}
            for i,n in enumerate(self.graph.nodes): groups.setdefault(n.rpartition("=")[0] or n,[]).append(i)
            for cols in groups.values():
                if len(cols)<3: continue
                p=torch.randperm(len(labels)); asked[:,cols]=labels[p][:,cols]
            x=torch.sigmoid(self.draw(self.label_latents(asked),style))
            params={k:v.detach() for k,v in self.encoder.named_parameters()}
            read=functional_call(self.encoder,params,(x,))[:,:d]
            terms["reconstruction"]=terms["reconstruction"]+self.weight*self._misalignment(read,asked).sum(-1)
        return terms
def run(name, kl=1.0, sup=60., lik=5., w=0.0, extra=32, lr=4e-3, epochs=5, copies=6, bs=64, semi=True, seed=100, lrec=1.0):
    t=time.time()
    d=cl.Digits(seed)
    train=d.rows(D.TRAIN).rewritten(copies,2000+seed); test=d.rows(D.CHOOSE)
    judge=judge_of(tuple(D.TRAIN))
    torch.manual_seed(seed)
    m=CT(d.graph,(1,32,32),supervision=sup,label_likelihood=lik,kl_weight=kl,extra_dims=extra,covariance="full" if semi else "diagonal",label_reconstruction=lrec if semi else 0.0)
    m.weight=w
    h=cl.fit(m,train,epochs=epochs,seed=seed,batch_size=bs,lr=lr,device="cpu",progress=False,calibrate=False)
    out=report(m,test,judge); out.update(name=name,s=time.time()-t)
    print(json.dumps({k:(round(v,3) if isinstance(v,float) else v) for k,v in out.items()}),flush=True)
    return m
def report(m,test,judge):
    pics=as_float(test.images); o={}
    f=m.factors(test.images); rec=m.reconstruct(test.images)
    o['enc_t']=r2(test.factors[:,0],f[:,0]); o['enc_i']=r2(test.factors[:,1],f[:,1]); o['enc_d']=(f[:,2:].argmax(-1)==test.digit).float().mean().item()
    o['rec_psnr']=psnr(pics,rec); o['l1']=255*(pics-rec).abs().mean().item()
    for q,do in D.questions(test).items():
        truth=test.counterfactual(test.factors,do); x=m.counterfactual(test.images,do).images
        j,dg=judge(x); ru=test.measure(x)
        o[q]=[round(v,3) for v in (mae(truth[:,0],j[:,0]),mae(truth[:,1],j[:,1]),(dg==truth[:,2:].argmax(-1)).float().mean().item(), (truth[:,0]-ru[:,0]).abs().nanmean().item(), (truth[:,1]-ru[:,1]).abs().nanmean().item())]
        if q!='digit':
            tr=test.render(truth); o[q]+= [round(psnr(tr,x),2), round(r2(truth[:,1],ru[:,1].nan_to_num(0)),3)]
    return o
if __name__=="__main__":
    for spec in sys.argv[1:]:
        kw=dict(kv.split("=") for kv in spec.split(",")) if spec!="base" else {}
        kw={k:(v=="True" if k=="semi" else int(v) if k in("extra","epochs","copies","bs","seed") else float(v)) for k,v in kw.items()}
        run(spec,**kw)
